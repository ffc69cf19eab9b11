import contextlib
import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from supervisor.child.procfs import read_stat
from tests.process.supervisor_rig import Json, SupervisorRig, supervisor_rig


@pytest.fixture
def rig() -> Iterator[SupervisorRig]:
    with supervisor_rig() as made:
        yield made


def alive(pid: int) -> bool:
    stat = read_stat(pid)
    return stat is not None and stat.alive


def nothing_is_left(rig: SupervisorRig, *pids: int) -> bool:
    assert not any(alive(pid) for pid in pids)
    assert rig.left_processes() == []
    assert not rig.directories.runtime.exists()
    assert rig.directories.journal.exists()
    return True


def test_serves_and_ctrl_c_leaves_nothing(rig: SupervisorRig) -> None:
    status = rig.start()
    assert status["state"] == "serving"
    worker, gateway = status["workers"][0], status["gateway"]
    assert (worker["name"], worker["state"], worker["generation"]) == ("worker-0", "ready", 1)
    assert os.path.exists(worker["socket"])
    assert rig.ask(status)["choices"][0]["finish_reason"]
    rig.signal(signal.SIGINT)
    assert rig.process.wait(30) == 0
    assert nothing_is_left(rig, worker["pid"], gateway["pid"])


def test_children_have_their_own_session_and_no_foreign_descriptor(rig: SupervisorRig) -> None:
    status = rig.start()
    for pid in (status["workers"][0]["pid"], status["gateway"]["pid"]):
        stat = read_stat(pid)
        assert stat is not None
        assert stat.session == pid
        assert os.readlink(f"/proc/{pid}/fd/0") == "/dev/null"
    descriptors = Path(f"/proc/{status['workers'][0]['pid']}/fd")
    targets = [os.readlink(path) for path in descriptors.iterdir() if path.is_symlink()]
    assert not any(str(rig.directories.state / "journal") in target for target in targets)
    assert not any(target.endswith("/lock") for target in targets)


def test_crash_is_repaired_and_explained(rig: SupervisorRig) -> None:
    status = rig.start()
    before = status["workers"][0]
    os.kill(before["pid"], signal.SIGKILL)
    after = rig.until(
        lambda now: now["state"] == "serving" and now["workers"][0]["generation"] == 2
    )["workers"][0]
    assert after["epoch"] != before["epoch"]
    assert after["restarts"] == 1
    assert after["last_restart"]["cause"] == "killed"
    (restart,) = rig.events("restart")
    assert restart["worker"] == "worker-0"
    assert restart["evidence"]["old_epoch"] == before["epoch"]
    assert restart["evidence"]["signal"] == 9
    names = [phase["name"] for phase in restart["phases"]]
    assert names == [
        "decide", "hold", "gone", "memory returned", "load", "warm", "verify", "release",
    ]  # fmt: skip
    total = sum(phase["seconds"] for phase in restart["phases"])
    assert total == pytest.approx(restart["evidence"]["total_seconds"], abs=0.01)
    assert rig.ask(status)["choices"][0]["finish_reason"]
    assert not any(rig.directories.runtime.glob(f"w0-{before['epoch'][:8]}*"))


def test_operator_restart_is_drained(rig: SupervisorRig) -> None:
    before = rig.start()["workers"][0]
    answer = rig.call(
        "POST", "/api/v1/workers/worker-0/restart", reason="a test", actor="the tester"
    )
    assert answer.status_code == 202
    rig.until(lambda now: now["state"] == "serving" and now["workers"][0]["generation"] == 2)
    (restart,) = rig.events("restart")
    assert (restart["cause"], restart["reason"]) == ("operator", "a test")
    assert restart["evidence"]["actor"] == "the tester"
    assert restart["evidence"]["decision"] == answer.json()["decision"]
    names = [phase["name"] for phase in restart["phases"]]
    assert [name for name in names if name in ("drain", "stop", "load", "verify")] == [
        "drain",
        "stop",
        "load",
        "verify",
    ]
    (death,) = rig.events("death")
    assert death["epoch"] == before["epoch"]
    assert death["evidence"]["exit_code"] == 0
    unknown = rig.call("POST", "/api/v1/workers/nobody/restart", reason="x", actor="y")
    assert unknown.status_code == 409


def test_stopped_worker_is_found_as_a_hang(rig: SupervisorRig) -> None:
    before = rig.start()["workers"][0]
    os.kill(before["pid"], signal.SIGSTOP)
    rig.until(lambda now: now["state"] == "serving" and now["workers"][0]["generation"] == 2)
    (restart,) = rig.events("restart")
    assert restart["cause"] == "hang"
    assert restart["evidence"]["process_state"] == "T"
    assert not alive(before["pid"])


def test_stopped_gateway_is_found_by_its_state_not_by_its_silence(rig: SupervisorRig) -> None:
    status = rig.start()
    os.kill(status["gateway"]["pid"], signal.SIGSTOP)
    after = rig.until(
        lambda now: (
            now["state"] == "serving" and now["gateway"]["epoch"] != status["gateway"]["epoch"]
        )
    )
    assert after["gateway"]["url"] == status["gateway"]["url"]
    (failure,) = rig.events("failure")
    assert failure["evidence"]["process_state"] == "T"
    assert failure["evidence"]["deadline_seconds"] == 3.0
    assert rig.ask(after)["choices"][0]["finish_reason"]


def test_killed_gateway_is_replaced_on_the_same_socket(rig: SupervisorRig) -> None:
    status = rig.start()
    os.kill(status["gateway"]["pid"], signal.SIGKILL)
    after = rig.until(
        lambda now: (
            now["state"] == "serving" and now["gateway"]["epoch"] != status["gateway"]["epoch"]
        )
    )
    assert after["gateway"]["url"] == status["gateway"]["url"]
    assert after["workers"][0]["pid"] == status["workers"][0]["pid"]
    assert rig.ask(after)["choices"][0]["finish_reason"]


def test_second_ctrl_c_skips_the_drain(rig: SupervisorRig) -> None:
    rig.configure(
        lifecycle={"drain_seconds": 60.0},
        inference={"fake": {"token_seconds": 0.5}},
    )
    status = rig.start()
    pid = status["workers"][0]["pid"]
    with streaming(status):
        rig.until(lambda now: now["gateway"]["in_flight"] == 1)
        rig.signal(signal.SIGINT)
        rig.until(lambda now: now["gateway"]["state"] == "draining")
        rig.signal(signal.SIGINT)
        assert rig.process.wait(30) == 0
    assert nothing_is_left(rig, pid, status["gateway"]["pid"])


def streaming(status: Json) -> contextlib.AbstractContextManager[httpx.Response]:
    message = {"role": "user", "content": "slowly"}
    body = {"model": "any", "messages": [message], "max_tokens": 100, "stream": True}
    url = status["gateway"]["url"] + "/v1/chat/completions"
    return httpx.stream("POST", url, json=body, timeout=60)


def test_worker_that_ignores_sigterm_is_killed(rig: SupervisorRig) -> None:
    rig.configure(inference={"fake": {"ignore_sigterm": True}})
    status = rig.start()
    rig.signal(signal.SIGTERM)
    assert rig.process.wait(30) == 0
    assert nothing_is_left(rig, status["workers"][0]["pid"], status["gateway"]["pid"])


def test_configuration_error_does_not_loop(rig: SupervisorRig) -> None:
    rig.configure(inference={"fake": {"exit_at_start": 78}})
    rig.launch()
    status = rig.until(lambda now: now["state"] == "degraded")
    assert status["workers"][0]["state"] == "broken"
    assert status["workers"][0]["generation"] == 1


def test_wrong_warm_up_answer_keeps_a_worker_from_serving(rig: SupervisorRig) -> None:
    rig.start()
    rig.signal(signal.SIGTERM)
    rig.process.wait(30)
    rig.configure(inference={"fake": {"wrong_text": True}})
    rig.launch()
    rig.until(lambda now: now["workers"][0]["generation"] == 3)
    failure = rig.events("failure")[-1]
    assert failure["cause"] == "warm_failed"
    assert "was right before" in failure["reason"]
    assert not any(worker["state"] == "ready" for worker in rig.status()["workers"])


def test_program_that_cannot_be_started(rig: SupervisorRig) -> None:
    rig.settings["worker"] = [str(rig.base / "no-such-program")]
    rig.launch()
    rig.until(lambda now: now["workers"][0]["generation"] >= 2)
    death = rig.events("death")[0]
    assert death["cause"] == "spawn_failed"
    assert "no-such-program" in death["reason"]
    rig.signal(signal.SIGTERM)
    assert rig.process.wait(30) == 0


def test_systemd_is_told_after_the_first_tick_and_children_never_hear_of_it(
    rig: SupervisorRig,
) -> None:
    address = str(rig.base / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(address)
        systemd.settimeout(30)
        rig.environment = {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "30000000"}
        status = rig.start()
        heard = [systemd.recv(1000).decode() for _ in range(3)]
        assert heard[0].startswith("FDSTORE=1\nFDNAME=glyph-listen")
        assert heard[1].startswith("READY=1\nSTATUS=")
        for pid in (status["workers"][0]["pid"], status["gateway"]["pid"]):
            environment = Path(f"/proc/{pid}/environ").read_text()
            assert "NOTIFY_SOCKET" not in environment
            assert "WATCHDOG_USEC" not in environment
        while systemd.recv(1000) != b"WATCHDOG=1":
            pass
        rig.signal(signal.SIGTERM)
        while systemd.recv(1000) != b"STOPPING=1":
            pass
        assert rig.process.wait(30) == 0
