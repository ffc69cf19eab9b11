"""The terminal's signals, and the reload of a supervisor without one."""

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from supervisor.child.procfs import read_stat
from tests.process.supervisor_rig import ROOT, Json, SupervisorRig, supervisor_rig

TAKE_TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


@pytest.fixture
def rig() -> Iterator[SupervisorRig]:
    with supervisor_rig() as made:
        yield made


def start_in_terminal(rig: SupervisorRig) -> tuple[Json, int]:
    """A supervisor with a controlling terminal; its status and the terminal's other end."""
    master, slave = pty.openpty()
    path = rig.base / "settings.json"
    path.write_text(json.dumps(rig.settings))

    with open(rig.base / "supervisor.log", "ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", TAKE_TERMINAL, "-m", "tests.process.daemon_entry", str(path)],
            stdin=slave,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            cwd=ROOT,
            start_new_session=True,
        )
    os.close(slave)
    rig.processes.append(process)
    return rig.until(lambda status: status["state"] == "serving"), master


def stopped_cleanly(rig: SupervisorRig, status: Json) -> bool:
    assert rig.process.wait(30) == 0
    for child in (status["gateway"], *status["workers"]):
        stat = read_stat(child["pid"])
        assert stat is None or not stat.alive
    assert rig.left_processes() == []
    assert not rig.directories.runtime.exists()
    return True


def test_ctrl_c_reaches_the_supervisor_alone(rig: SupervisorRig) -> None:
    status, terminal = start_in_terminal(rig)
    os.write(terminal, b"\x03")
    assert stopped_cleanly(rig, status)
    os.close(terminal)
    deaths = [line for line in rig.log().splitlines() if "death" in line]
    assert len(deaths) == 2
    assert all("ended by us: shutdown" in line for line in deaths)


def test_closed_terminal_stops_everything(rig: SupervisorRig) -> None:
    status, terminal = start_in_terminal(rig)
    os.close(terminal)
    assert stopped_cleanly(rig, status)
    assert "SIGHUP" in rig.log()


def test_hangup_reloads_a_detached_supervisor(rig: SupervisorRig) -> None:
    status = rig.start()
    rig.configure(lifecycle={"stop_seconds": 3.0}, gateway={"keep_alive_seconds": 1.0})
    rig.write_configuration()
    rig.signal(signal.SIGHUP)
    rig.until(lambda _: bool(rig.events("reload")))
    assert rig.events("reload")[0]["reason"] == "restart needed for: gateway"
    (rig.base / "config.json").write_text("{nonsense: 1}")
    rig.signal(signal.SIGHUP)
    rig.until(lambda _: bool(rig.events("reload refused")))
    assert "nonsense" in rig.events("reload refused")[0]["reason"]
    assert rig.status()["workers"][0]["pid"] == status["workers"][0]["pid"]
