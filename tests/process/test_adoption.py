"""The supervisor dies in every way there is; gateway and workers never notice."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from supervisor.child.procfs import boot_id, read_stat
from supervisor.core.model import (
    Cause,
    ExitReport,
    Generation,
    Identity,
    Kind,
    Phase,
    Replacement,
    Slot,
)
from supervisor.store.journal import Journal
from tests.process.supervisor_rig import Json, SupervisorRig, supervisor_rig


@pytest.fixture
def rig() -> Iterator[SupervisorRig]:
    with supervisor_rig() as made:
        yield made


def children(status: Json) -> list[tuple[int, str]]:
    found = [status["gateway"], *status["workers"]]
    return [(child["pid"], child["epoch"]) for child in found]


def alive(pid: int) -> bool:
    stat = read_stat(pid)
    return stat is not None and stat.alive


def test_killed_supervisor_is_followed_by_one_that_adopts(rig: SupervisorRig) -> None:
    first = rig.start()
    rig.kill()
    assert all(alive(pid) for pid, _ in children(first))
    second = rig.start()
    assert children(second) == children(first)
    assert second["term"] > first["term"]
    assert second["gateway"]["url"] == first["gateway"]["url"]
    assert {event["worker"] for event in rig.events("adopted")} == {"gateway", "worker-0"}
    assert rig.ask(second)["choices"][0]["finish_reason"]
    rig.signal(signal.SIGTERM)
    assert rig.process.wait(30) == 0
    assert rig.left_processes() == []
    assert not rig.directories.runtime.exists()


def test_stream_outlives_the_supervisor_and_its_successor(rig: SupervisorRig) -> None:
    rig.configure(inference={"fake": {"token_seconds": 0.1}})
    status = rig.start()
    message = {"role": "user", "content": "a long story"}
    body = {"model": "any", "messages": [message], "max_tokens": 80, "stream": True}
    url = status["gateway"]["url"] + "/v1/chat/completions"
    with httpx.stream("POST", url, json=body, timeout=60) as answer:
        lines = answer.iter_lines()
        first = next(lines)
        rig.kill()
        rig.start()
        os.kill(status["workers"][0]["pid"], signal.SIGKILL)
        rest = [line for line in lines if line]
    assert first.startswith("data:")
    assert rest[-1] == "data: [DONE]"
    assert "finish_reason" in rest[-2]
    assert not any("error" in line for line in rest)


def test_adopted_worker_that_dies_is_replaced(rig: SupervisorRig) -> None:
    first = rig.start()
    rig.kill()
    rig.start()
    os.kill(first["workers"][0]["pid"], signal.SIGKILL)
    after = rig.until(
        lambda now: now["state"] == "serving" and now["workers"][0]["generation"] == 2
    )
    assert after["workers"][0]["epoch"] != first["workers"][0]["epoch"]


def test_worker_that_died_meanwhile_is_found_dead_and_replaced(rig: SupervisorRig) -> None:
    first = rig.start()
    rig.kill()
    os.kill(first["workers"][0]["pid"], signal.SIGKILL)
    second = rig.start()
    assert second["workers"][0]["generation"] == 2
    assert second["gateway"]["pid"] == first["gateway"]["pid"]
    death = next(event for event in rig.events("death") if event["worker"] == "worker-0")
    assert death["epoch"] == first["workers"][0]["epoch"]


def test_dead_gateway_and_supervisor_need_a_fresh_socket(rig: SupervisorRig) -> None:
    first = rig.start()
    rig.kill()
    os.kill(first["gateway"]["pid"], signal.SIGKILL)
    second = rig.start()
    assert second["gateway"]["pid"] != first["gateway"]["pid"]
    assert second["workers"][0]["pid"] == first["workers"][0]["pid"]
    assert rig.ask(second)["choices"][0]["finish_reason"]


def test_children_are_adopted_also_when_the_journal_is_lost(rig: SupervisorRig) -> None:
    first = rig.start()
    rig.kill()
    for path in rig.directories.state.glob("journal.db*"):
        path.unlink()
    rig.directories.journal.write_bytes(b"this is no database" * 1000)
    second = rig.start()
    assert children(second) == children(first)
    assert second["term"] > first["term"]
    assert list(rig.directories.state.glob("journal.db.damaged-*"))


def test_unknown_leftover_is_killed_before_anything_is_started(rig: SupervisorRig) -> None:
    rig.directories.runtime.mkdir(parents=True)
    epoch = "d" * 32
    socket = rig.directories.runtime / "w0-dddddddd.sock"
    socket.touch()
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(300)"
    stranger = subprocess.Popen(
        [sys.executable, "-c", code, "--epoch", epoch, "--socket", str(socket)],
        start_new_session=True,
    )
    try:
        status = rig.start()
        assert stranger.wait(10) == -signal.SIGKILL
        assert not socket.exists()
        assert status["workers"][0]["generation"] == 1
    finally:
        stranger.kill()
        stranger.wait()


def test_process_that_was_never_identified_does_not_outlive_the_boot(rig: SupervisorRig) -> None:
    """Its supervisor died right after the fork, and so did its main process: a fork is left."""
    rig.directories.runtime.mkdir(parents=True)
    rig.directories.state.mkdir(parents=True)
    epoch, socket = "9" * 32, rig.directories.runtime / "w0-99999999.sock"
    journal = Journal(rig.directories.journal, boot_id())
    journal.next_term()[1].result()
    journal.intend("worker-0", epoch, 7, socket).result()
    journal.close()
    code = "import os, sys, time; os.fork() and os._exit(0); print(os.getpid()); "
    code += "sys.stdout.flush(); time.sleep(300)"
    parent = subprocess.Popen(
        [sys.executable, "-c", code, "--epoch", epoch, "--socket", str(socket)],
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert parent.stdout is not None
    orphan = int(parent.stdout.readline())
    parent.wait()
    parent.stdout.close()
    try:
        assert rig.start()["workers"][0]["generation"] == 8
        assert not alive(orphan)
    finally:
        if alive(orphan):
            os.kill(orphan, signal.SIGKILL)


def test_identity_recorded_for_a_reused_pid_is_not_believed(rig: SupervisorRig) -> None:
    """The journal's pid belongs to somebody else now: that process must not be touched."""
    first = rig.start()
    rig.signal(signal.SIGTERM)
    rig.process.wait(30)
    innocent = subprocess.Popen(["/bin/sleep", "300"], start_new_session=True)
    try:
        forge_child(rig, innocent.pid)
        second = rig.start()
        assert second["workers"][0]["generation"] > first["workers"][0]["generation"]
        assert innocent.poll() is None
    finally:
        innocent.kill()
        innocent.wait()


def forge_child(rig: SupervisorRig, pid: int) -> None:
    script = """
import json, sys
from pathlib import Path
from supervisor.child.procfs import boot_id
from supervisor.core.model import Identity
from supervisor.store.journal import Journal
journal = Journal(Path(sys.argv[1]), boot_id())
journal.intend("worker-0", "9" * 32, 7, Path(sys.argv[2]))
journal.identify("9" * 32, Identity(boot_id(), int(sys.argv[3]), 1)).result()
journal.close()
"""
    socket = str(rig.directories.runtime / "w0-99999999.sock")
    command = [sys.executable, "-c", script, str(rig.directories.journal), socket, str(pid)]
    subprocess.run(command, check=True)


def test_handover_leaves_everything_serving(rig: SupervisorRig) -> None:
    first = rig.start()
    assert rig.call("POST", "/api/v1/handover").status_code == 200
    rig.signal(signal.SIGTERM)
    assert rig.process.wait(30) == 0
    assert all(alive(pid) for pid, _ in children(first))
    assert rig.ask(first)["choices"][0]["finish_reason"]
    second = rig.start()
    assert children(second) == children(first)


@pytest.mark.parametrize("state", ["draining", "stopping", "loading"])
def test_restart_cut_short_by_the_supervisors_death_is_finished(
    rig: SupervisorRig, state: str
) -> None:
    faults = {"load_seconds": 1.0, "ignore_sigterm": True, "token_seconds": 0.05}
    rig.configure(inference={"fake": faults})
    status = rig.start()
    with ThreadPoolExecutor() as pool:
        answer = pool.submit(rig.ask, status, max_tokens=40)
        rig.until(lambda now: now["gateway"]["in_flight"] == 1)
        rig.call("POST", "/api/v1/workers/worker-0/restart", reason="cut short", actor="t")
        rig.until(lambda now: now["workers"][0]["state"] == state)
        rig.kill()
        after = rig.start()
        assert answer.result()["choices"][0]["finish_reason"]
    after = rig.until(lambda now: now["workers"][0]["restarts"] == 1)
    assert after["workers"][0]["generation"] == 2
    (restart,) = rig.events("restart")
    assert restart["reason"] == "cut short"
    (death,) = rig.events("death")
    assert death["cause"] == "operator"


@pytest.mark.parametrize(
    ("cause", "end_cause", "report"),
    [
        (Cause.HANG, Cause.HANG, None),
        (Cause.OPERATOR, Cause.OPERATOR, None),
        (Cause.CRASH, None, ExitReport(signal=11)),
    ],
    ids=["hang", "operator", "crash"],
)
def test_supervisor_killed_during_a_restart_counts_no_crash_twice(
    rig: SupervisorRig, cause: Cause, end_cause: Cause | None, report: ExitReport | None
) -> None:
    """It died after its decision was durable; the worker it was ending is dead by now."""
    epoch = "9" * 32
    replacement = Replacement("d1", cause, "why", "ada", (), epoch, 1.0, "stop", 1.0)
    gone = Identity(boot_id(), dead_pid(), 1)
    dying = Generation(
        epoch, 7, Phase.KILLING, 1.0, None, gone, ready_at=1.0, end_cause=end_cause, exit=report
    )
    slot = Slot(
        "worker-0",
        Kind.WORKER,
        generation=dying,
        generations=7,
        crashes_in_row=1,
        replacement=replacement,
    )
    rig.directories.state.mkdir(parents=True)
    journal = Journal(rig.directories.journal, boot_id())
    journal.intend("worker-0", epoch, 7, rig.directories.runtime / "w0-99999999.sock")
    journal.remember(slot).result()
    journal.close()
    status = rig.start()
    assert status["workers"][0]["generation"] == 8
    deaths = [(event["cause"], event["epoch"]) for event in rig.events("death")]
    assert deaths == ([] if report is not None else [(cause.value, epoch)])
    (restart,) = rig.events("restart")
    assert restart["evidence"]["decision"] == "d1"
    rig.kill()
    journal = Journal(rig.directories.journal, boot_id())
    assert {memory.name: memory.crashes_in_row for memory in journal.slots()}["worker-0"] == 1
    journal.close()


def dead_pid() -> int:
    process = subprocess.Popen(["/bin/true"])
    process.wait()
    return process.pid


def test_changed_address_replaces_the_gateway(rig: SupervisorRig) -> None:
    first = rig.start()
    rig.kill()
    rig.configure(gateway={"host": "127.0.0.2"})
    second = rig.start()
    assert second["gateway"]["url"].startswith("http://127.0.0.2:")
    assert not alive(first["gateway"]["pid"])
    assert second["workers"][0]["pid"] == first["workers"][0]["pid"]


def test_mark_names_the_slot(rig: SupervisorRig) -> None:
    worker = rig.start()["workers"][0]
    mark = json.loads(Path(f"{worker['socket']}.child.json").read_text())
    assert mark == {"slot": "worker-0", "epoch": worker["epoch"], "number": 1}
