import os
from dataclasses import dataclass
from pathlib import Path

import pytest

from supervisor.config.paths import (
    RuntimePathTooLongError,
    default_config_path,
    find_clone,
    resolve,
)


@dataclass(frozen=True)
class Configured:
    state: str | None = None
    runtime: str | None = None


SYSTEMD = {"STATE_DIRECTORY": "/var/lib/glyph", "RUNTIME_DIRECTORY": "/run/glyph"}


def test_what_is_configured_wins(tmp_path: Path) -> None:
    found = resolve(Configured(str(tmp_path / "s"), str(tmp_path / "r")), SYSTEMD, Path("/clone"))
    assert (found.state, found.runtime) == (tmp_path / "s", tmp_path / "r")
    assert found.control_socket == tmp_path / "r" / "control.sock"
    assert found.journal == tmp_path / "s" / "journal.db"
    assert found.logs == tmp_path / "s" / "logs"


def test_systemd_comes_next_then_the_clone_then_the_system() -> None:
    found = resolve(None, SYSTEMD, Path("/clone"))
    assert (found.state, found.runtime) == (Path("/var/lib/glyph"), Path("/run/glyph"))
    assert resolve(None, {}, Path("/clone")).state == Path("/clone/var")
    assert resolve(None, {}, None).state == Path("/var/lib/glyph")
    assert resolve(None, {}, None).runtime == Path("/run/glyph")


def test_clones_do_not_share_a_runtime_directory() -> None:
    session = Path("/dev")  # any short directory that exists: nothing is written
    environ = {"XDG_RUNTIME_DIR": str(session)}
    one = resolve(None, environ, Path("/clone/one")).runtime
    two = resolve(None, environ, Path("/clone/two")).runtime
    assert one != two
    assert one.parent == two.parent == session
    assert one == resolve(None, environ, Path("/clone/one")).runtime


def test_a_missing_session_directory_is_not_used(tmp_path: Path) -> None:
    runtime = resolve(None, {"XDG_RUNTIME_DIR": str(tmp_path / "none")}, Path("/clone")).runtime
    assert runtime.parent == (Path("/run") if os.geteuid() == 0 else Path("/tmp"))
    assert runtime.name.startswith("glyph-")


def test_a_runtime_directory_too_long_for_sockets_is_refused() -> None:
    fits = "/" + "x" * (106 - len("/w63-xxxxxxxx.sock.progress") - 1)
    assert resolve(Configured(runtime=fits), {}, None).runtime == Path(fits)
    with pytest.raises(RuntimePathTooLongError, match="1 bytes too long"):
        resolve(Configured(runtime=fits + "x"), {}, None)


def test_the_configuration_is_found_from_the_clone() -> None:
    clone = find_clone()
    assert clone is not None
    assert default_config_path({}, clone) == clone / "etc" / "supervisor.yaml"
    assert default_config_path({"GLYPH_CONFIG": "/x.yaml"}, clone) == Path("/x.yaml")
    assert default_config_path({}, None) == Path("/etc/glyph/supervisor.yaml")
