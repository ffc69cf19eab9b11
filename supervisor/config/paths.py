"""Where files and sockets live, and where the configuration is found.

Kept free of pydantic: every `glyphctl` call passes through here and must answer at once.
"""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

_SYSTEM_STATE = Path("/var/lib/glyph")
SYSTEM_RUNTIME = Path("/run/glyph")
_SYSTEM_CONFIG = Path("/etc/glyph/supervisor.yaml")

# sockaddr_un holds 108 bytes with its end mark; nothing below the runtime directory is longer.
_SOCKET_PATH_BYTES = 107
_LONGEST_NAME = "w63-xxxxxxxx.sock.progress"


class ConfiguredPaths(Protocol):
    """The `paths:` group of the configuration, as far as this module needs it."""

    @property
    def state(self) -> str | None:
        """Configured state directory."""

    @property
    def runtime(self) -> str | None:
        """Configured runtime directory."""


class RuntimePathTooLongError(ValueError):
    """A socket below this runtime directory would not fit into a socket address."""


@dataclass(frozen=True, slots=True)
class Directories:
    """The two directories of one supervisor: what it remembers, and what lives while it runs."""

    state: Path
    runtime: Path

    @property
    def control_socket(self) -> Path:
        """Unix socket of the supervisor's control API."""
        return self.runtime / "control.sock"

    @property
    def journal(self) -> Path:
        """SQLite database of decisions and events."""
        return self.state / "journal.db"

    @property
    def logs(self) -> Path:
        """Directory of the children's output files."""
        return self.state / "logs"

    @property
    def lock(self) -> Path:
        """File whose flock keeps a second supervisor away."""
        return self.state / "lock"

    @property
    def alerts(self) -> Path:
        """SQLite database of alerts not yet delivered."""
        return self.state / "alerts.db"


def find_clone() -> Path | None:
    """The source tree this package runs from, or None when it is installed elsewhere."""
    root = Path(__file__).resolve().parents[2]
    if (root / "pyproject.toml").is_file() and (root / "etc" / "supervisor.yaml").is_file():
        return root
    return None


def default_config_path(environ: Mapping[str, str], clone: Path | None) -> Path:
    """The configuration to use when none is named: $GLYPH_CONFIG, the clone's, the system's."""
    named = environ.get("GLYPH_CONFIG")
    if named:
        return Path(named)
    return clone / "etc" / "supervisor.yaml" if clone else _SYSTEM_CONFIG


def resolve(
    configuration_paths: ConfiguredPaths | None, environ: Mapping[str, str], clone: Path | None
) -> Directories:
    """Both directories as absolute paths; nothing is created.

    Raises RuntimePathTooLongError when a socket in the runtime directory would not fit an address.
    """
    configured_state = configuration_paths.state if configuration_paths else None
    configured_runtime = configuration_paths.runtime if configuration_paths else None
    state = _state(configured_state, environ, clone)
    runtime = _runtime(configured_runtime, environ, state)
    longest = len(os.fsencode(runtime / _LONGEST_NAME))
    if longest >= _SOCKET_PATH_BYTES:
        raise RuntimePathTooLongError(
            f"the runtime directory {runtime} is {longest - _SOCKET_PATH_BYTES + 1} bytes too long "
            "for Unix sockets; set paths.runtime to a shorter one"
        )
    return Directories(state, runtime)


def _state(configured: str | None, environ: Mapping[str, str], clone: Path | None) -> Path:
    if configured:
        return Path(configured).expanduser().resolve()
    # systemd separates several directories by a colon; the unit declares one.
    systemd = environ.get("STATE_DIRECTORY", "").partition(":")[0]
    if systemd:
        return Path(systemd).resolve()
    return (clone / "var").resolve() if clone else _SYSTEM_STATE


def _runtime(configured: str | None, environ: Mapping[str, str], state: Path) -> Path:
    if configured:
        return Path(configured).expanduser().resolve()
    systemd = environ.get("RUNTIME_DIRECTORY", "").partition(":")[0]
    if systemd:
        return Path(systemd).resolve()
    if state == _SYSTEM_STATE:
        return SYSTEM_RUNTIME
    name = "glyph-" + hashlib.sha256(os.fsencode(state)).hexdigest()[:8]
    session = environ.get("XDG_RUNTIME_DIR")
    if session and Path(session).is_dir():
        return Path(session) / name
    if os.geteuid() == 0:
        return Path("/run") / name
    return Path("/tmp") / f"glyph-{os.geteuid()}-{name.removeprefix('glyph-')}"
