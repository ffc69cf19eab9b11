import os
import signal
import socket
from collections.abc import Iterable, Iterator

import pytest

from supervisor.child.procfs import read_stat
from supervisor.child.wait import wait_gone
from supervisor.core.model import Identity
from supervisor.rescue import stop_leftovers
from supervisor.runtime.errors import StartError
from tests.process.supervisor_rig import SupervisorRig, supervisor_rig


@pytest.fixture
def rig() -> Iterator[SupervisorRig]:
    with supervisor_rig() as made:
        yield made


def refused(rig: SupervisorRig, *arguments: str) -> int:
    """Exit code of a supervisor that must not come up."""
    process = rig.launch(*arguments)
    code = process.wait(30)
    assert process.stdout is not None
    assert process.stdout.read() == ""
    return code


def test_second_supervisor_is_refused_by_name(rig: SupervisorRig) -> None:
    rig.start()
    holder = rig.process
    assert refused(rig) == 75
    assert f"the supervisor with pid {holder.pid} already runs" in rig.log()
    assert refused(rig, "take-over") == 75
    assert holder.poll() is None
    assert rig.status()["state"] == "serving"


def test_same_runtime_directory_is_refused(rig: SupervisorRig) -> None:
    rig.start()
    rig.settings["state"] = str(rig.base / "other")
    assert refused(rig) == 75
    assert "uses the runtime directory" in rig.log()
    assert rig.status()["state"] == "serving"


def test_stopped_holder_is_named_and_can_be_taken_over(rig: SupervisorRig) -> None:
    first = rig.start()
    holder = rig.process
    holder.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, holder.pid, os.WSTOPPED | os.WNOWAIT)
    assert refused(rig) == 75
    assert f"pid {holder.pid}" in rig.log()
    assert "is stopped" in rig.log()
    assert holder.poll() is None
    second = rig.start("take-over")
    assert holder.wait(10) == -signal.SIGKILL
    assert second["term"] > first["term"]
    assert second["workers"][0]["pid"] == first["workers"][0]["pid"]


def test_busy_port_is_one_clear_line(rig: SupervisorRig) -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = busy.getsockname()[1]
        rig.configure(gateway={"port": port})
        assert refused(rig) == 69
    (line,) = [line for line in rig.log().splitlines() if line.startswith("glyph:")]
    assert f"port {port} is in use by pid {os.getpid()}" in line
    assert "gateway" in line
    assert rig.left_processes() == []
    assert not rig.directories.control_socket.exists()


def test_busy_console_port_leaves_the_children_alone(rig: SupervisorRig) -> None:
    first = rig.start()
    rig.kill()
    with socket.create_server(("127.0.0.1", 0)) as busy:
        rig.configure(console={"port": busy.getsockname()[1]})
        assert refused(rig) == 69
    assert "console" in rig.log()
    rig.configure(console={"port": 0})
    assert rig.start()["workers"][0]["pid"] == first["workers"][0]["pid"]


def test_rescue_stops_what_a_dead_supervisor_left(rig: SupervisorRig) -> None:
    status = rig.start()
    rig.kill()
    stopped = stop_leftovers(rig.directories)
    assert {one.name: one.pid for one in stopped} == {
        "gateway": status["gateway"]["pid"],
        "worker-0": status["workers"][0]["pid"],
    }
    assert {one.how for one in stopped} == {"stopped"}
    assert rig.left_processes() == []
    assert not rig.directories.runtime.exists()
    assert stop_leftovers(rig.directories) == []
    after = rig.start()
    assert after["workers"][0]["generation"] == 2
    assert after["term"] > status["term"] + 1


def test_rescue_lets_a_stopped_gateway_finish(
    rig: SupervisorRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    status = rig.start()
    os.kill(status["gateway"]["pid"], signal.SIGSTOP)
    rig.kill()
    left: list[bool] = []

    async def wait(identities: Iterable[Identity], timeout_seconds: float) -> bool:
        waited = list(identities)
        left.append(bool(waited) and await wait_gone(waited, timeout_seconds))
        return left[-1]

    monkeypatch.setattr("supervisor.rescue.wait_gone", wait)
    stopped = stop_leftovers(rig.directories, drain_seconds=10.0)
    assert [one.how for one in stopped] == ["stopped", "stopped"]
    assert left[0], "it must leave because it was asked, not because of the signal"


def test_rescue_kills_what_does_not_listen(rig: SupervisorRig) -> None:
    rig.configure(inference={"fake": {"ignore_sigterm": True}})
    status = rig.start()
    rig.kill()
    os.kill(status["gateway"]["pid"], signal.SIGSTOP)
    stopped = stop_leftovers(rig.directories, drain_seconds=0.2, grace_seconds=0.2)
    assert {one.how for one in stopped if one.name == "worker-0"} == {"killed"}
    for child in (status["gateway"], status["workers"][0]):
        stat = read_stat(child["pid"])
        assert stat is None or not stat.alive


def test_rescue_does_not_touch_a_living_supervisor(rig: SupervisorRig) -> None:
    status = rig.start()
    with pytest.raises(StartError) as error:
        stop_leftovers(rig.directories)
    assert error.value.exit_code == 75
    assert str(rig.process.pid) in str(error.value)
    assert rig.status()["workers"][0]["pid"] == status["workers"][0]["pid"]


def test_start_right_after_a_stop_succeeds(rig: SupervisorRig) -> None:
    first = rig.start()
    rig.call("POST", "/api/v1/stop", reason="again", drain=False)
    leaving = rig.process
    rig.until_silent()
    second = rig.start()
    assert leaving.wait(10) == 0
    assert second["term"] == first["term"] + 1
    assert second["workers"][0]["generation"] == 2
