"""The unit file: understood by systemd, and in step with the configuration's deadlines."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from supervisor.cli.exits import Exit
from supervisor.config.check import pause_seconds
from supervisor.config.model import Configuration

UNIT = Path(__file__).resolve().parents[2] / "systemd" / "glyph-supervisor.service"
TEXT = UNIT.read_text(encoding="utf-8")


def setting(name: str) -> str:
    found = re.findall(rf"^{name}=(.*)$", TEXT, re.MULTILINE)
    assert len(found) == 1, f"{name} is given {len(found)} times"
    return str(found[0])


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_understands_every_line(tmp_path: Path) -> None:
    # The installed paths do not exist here, and the user may not.
    glyphctl = Path(sys.executable).with_name("glyphctl")
    text = TEXT.replace("/opt/glyph/bin/glyphctl", str(glyphctl))
    text = text.replace("User=glyph", "User=root").replace("Group=glyph", "Group=root")
    copy = tmp_path / UNIT.name
    copy.write_text(text, encoding="utf-8")
    result = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", str(copy)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (result.returncode, result.stderr, result.stdout) == (0, "", "")


def test_stopping_has_the_time_that_the_configuration_gives_it() -> None:
    configuration = Configuration()
    life, gateway = configuration.lifecycle, configuration.gateway
    drain = life.drain_seconds + life.stop_seconds + life.kill_seconds + life.reclaim_seconds
    assert float(setting("TimeoutStopSec")) >= drain + gateway.idle_seconds
    assert pause_seconds(configuration) > drain


def test_the_watchdog_is_patient_with_a_late_tick() -> None:
    probing = Configuration().probing
    seconds = float(setting("WatchdogSec"))
    assert seconds >= 4 * probing.tick_seconds
    assert seconds > 2 * probing.late_tick_seconds


def test_children_survive_and_the_supervisor_comes_back() -> None:
    assert setting("Type") == "notify"
    assert setting("NotifyAccess") == "main"
    assert setting("KillMode") == "process"
    assert setting("Restart") == "always"
    assert setting("StartLimitIntervalSec") == "0"
    assert setting("RuntimeDirectoryPreserve") == "yes"
    assert setting("Delegate") == "yes"
    assert setting("OOMPolicy") == "continue"
    assert int(setting("FileDescriptorStoreMax")) >= 1
    expected = {str(int(code)) for code in (Exit.USAGE, Exit.CONFIGURATION)}
    assert set(setting("RestartPreventExitStatus").split()) == expected
    for hidden in ("PrivateTmp", "PrivateDevices", "MemoryDenyWriteExecute", "DeviceAllow"):
        assert not re.search(rf"^{hidden}=", TEXT, re.MULTILINE)
