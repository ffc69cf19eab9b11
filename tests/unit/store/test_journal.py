import json
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from supervisor.core.effects import Record
from supervisor.core.model import (
    Cause,
    ExitReport,
    Generation,
    Identity,
    Kind,
    Phase,
    PhaseTime,
    Replacement,
    Slot,
    Want,
)
from supervisor.store import journal as module
from supervisor.store.codec import Clock, SlotMemory, decode_slot, encode_slot
from supervisor.store.journal import Journal, read_events

BOOT = "boot-1"
IDENTITY = Identity(BOOT, 4711, 99)
REPLACEMENT = Replacement(
    decision="d1",
    cause=Cause.HANG,
    reason="no step",
    actor="supervisor",
    evidence=(("step", 7), ("counted", True), ("age", 8.5), ("who", None)),
    old_epoch="a" * 32,
    began_at=100.0,
    phase_name="load",
    phase_began_at=101.0,
    phases=(PhaseTime("decide", 0.5), PhaseTime("stop", 0.5)),
)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    made = Journal(tmp_path / "journal.db", BOOT)
    yield made
    made.close()


def reopened(journal: Journal, tmp_path: Path) -> Journal:
    journal.close()
    return Journal(tmp_path / "journal.db", BOOT)


def test_events_have_the_agreed_shape_and_survive(journal: Journal, tmp_path: Path) -> None:
    record = Record(
        "restart",
        slot="worker-0",
        epoch="e1",
        cause=Cause.CRASH,
        reason="died of signal 9",
        evidence=(("signal", 9),),
        phases=(PhaseTime("load", 1.23456),),
        decision="d1",
    )
    assert journal.append(record).result() is True
    journal.append(Record("boot")).result()
    (restart, boot) = journal.events(limit=10, after=0)
    assert list(restart) == [
        "id", "at", "kind", "worker", "epoch", "cause", "reason", "evidence", "phases",
    ]  # fmt: skip
    assert restart["cause"] == "crash"
    assert restart["evidence"] == {"signal": 9, "decision": "d1"}
    assert restart["phases"] == [{"name": "load", "seconds": 1.235}]
    assert str(restart["at"]).endswith("Z")
    assert (boot["worker"], boot["epoch"], boot["cause"]) == (None, None, None)
    assert json.loads(json.dumps(restart)) == restart
    assert read_events(tmp_path / "journal.db", limit=10, after=0) == [restart, boot]
    again = reopened(journal, tmp_path)
    assert again.events(limit=10, after=0) == [restart, boot]
    assert again.newest("restart") == {"worker-0": restart}
    again.append(Record("boot")).result()
    assert [event["id"] for event in again.events(limit=10, after=0)] == [1, 2, 3]
    again.close()


def test_paging(journal: Journal) -> None:
    for number in range(10):
        journal.append(Record("boot", reason=str(number)))
    numbers = [event["reason"] for event in journal.events(limit=3, after=0)]
    assert numbers == ["7", "8", "9"]
    assert [event["id"] for event in journal.events(limit=2, after=4)] == [5, 6]
    assert journal.events(limit=5, after=10) == []
    assert journal.events(limit=0, after=0) == []


def test_history_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RETENTION", 20)
    monkeypatch.setattr(module, "_TRIM_EVERY", 10)
    journal = Journal(tmp_path / "journal.db", BOOT)
    for _ in range(50):
        journal.append(Record("boot"))
    journal.close()
    kept = read_events(tmp_path / "journal.db", limit=1000, after=0)
    assert [event["id"] for event in kept] == list(range(31, 51))


def test_slots_and_children_survive(journal: Journal, tmp_path: Path) -> None:
    generation = Generation("e1", 3, Phase.READY, 1.0, None, IDENTITY, ready_at=5.0)
    slot = Slot(
        "worker-0",
        Kind.WORKER,
        want=Want.PAUSED,
        generation=generation,
        generations=3,
        crashes_in_row=2,
        start_at=7.0,
        broken=Cause.CONFIGURATION,
        replacement=REPLACEMENT,
        restarts=4,
        watchdog_restarts=(1.0, 2.0),
        failing=True,
        load_estimate_seconds=3.5,
    )
    journal.intend("worker-0", "e1", 3, Path("/run/w0-e1.sock"))
    assert journal.children()[0].identity is None
    journal.identify("e1", IDENTITY)
    journal.remember(slot).result()
    again = reopened(journal, tmp_path)
    (child,) = again.children()
    assert (child.identity, child.phase, child.ready_at) == (IDENTITY, Phase.READY, 5.0)
    (memory,) = again.slots()
    assert memory == SlotMemory(
        name="worker-0",
        want=Want.PAUSED,
        generations=3,
        crashes_in_row=2,
        restarts=4,
        watchdog_restarts=(1.0, 2.0),
        start_at=7.0,
        broken=Cause.CONFIGURATION,
        failing=True,
        load_estimate_seconds=3.5,
        replacement=REPLACEMENT,
    )
    again.forget("e1").result()
    last = reopened(again, tmp_path)
    assert last.children() == ()
    last.close()


def test_the_end_of_a_child_survives(journal: Journal, tmp_path: Path) -> None:
    report = ExitReport(code=75, reported="lost the GPU")
    journal.intend("worker-0", "e1", 3, Path("/run/w0-e1.sock"))
    for ended in (
        Generation("e1", 3, Phase.KILLING, 1.0, None, IDENTITY, end_cause=Cause.HANG),
        Generation("e1", 3, Phase.KILLING, 1.0, None, IDENTITY, exit=report),
    ):
        journal.remember(Slot("worker-0", Kind.WORKER, generation=ended)).result()
        journal = reopened(journal, tmp_path)
        (child,) = journal.children()
        assert (child.end_cause, child.exit) == (ended.end_cause, ended.exit)
    journal.close()


def test_a_journal_of_the_first_schema_is_carried_on(journal: Journal, tmp_path: Path) -> None:
    journal.intend("worker-0", "e1", 3, Path("/run/w0-e1.sock")).result()
    journal.close()
    with sqlite3.connect(tmp_path / "journal.db") as database:
        database.execute("ALTER TABLE children DROP COLUMN ending")
        database.execute("PRAGMA user_version=1")
    database.close()
    again = Journal(tmp_path / "journal.db", BOOT)
    assert again.problem == ""
    assert [child.epoch for child in again.children()] == ["e1"]
    again.close()


def test_times_of_another_boot_are_moved_by_the_wall_clock() -> None:
    slot = replace(
        Slot("w", Kind.WORKER),
        watchdog_restarts=(1000.0,),
        start_at=1010.0,
        replacement=REPLACEMENT,
    )
    text = encode_slot(slot, Clock("old", wall_offset_seconds=5000.0))
    same = decode_slot("w", text, Clock("old", wall_offset_seconds=4000.0))
    assert same.watchdog_restarts == (1000.0,)
    moved = decode_slot("w", text, Clock("new", wall_offset_seconds=5990.0))
    assert moved.watchdog_restarts == (10.0,)
    assert moved.start_at == 20.0
    assert moved.replacement is not None
    assert moved.replacement.began_at == 100.0 - 990.0


def test_terms_rise_whatever_happens(journal: Journal, tmp_path: Path) -> None:
    assert journal.is_new
    term, written = journal.next_term()
    assert (term, written.result()) == (1, True)
    again = reopened(journal, tmp_path)
    assert not again.is_new
    assert again.next_term()[0] == 2
    assert again.next_term(floor=10)[0] == 11
    last = reopened(again, tmp_path)
    assert last.next_term()[0] == 12
    last.close()


def test_first_answers_are_kept_and_bounded(journal: Journal, tmp_path: Path) -> None:
    assert journal.answer("f") is None
    for number in range(150):
        journal.record_answer(f"f{number}", str(number))
    again = reopened(journal, tmp_path)
    assert again.answer("f149") == "149"
    assert again.answer("f0") is None
    again.close()


@pytest.mark.parametrize(
    "content", [b"no database at all" * 500, b"SQLite format 3\0" + b"x" * 5000]
)
def test_damaged_file_is_moved_aside(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "journal.db"
    path.write_bytes(content)
    journal = Journal(path, BOOT)
    assert "damaged" in journal.problem
    assert journal.append(Record("boot")).result() is True
    journal.close()
    (aside,) = tmp_path.glob("journal.db.damaged-*")
    assert aside.read_bytes() == content
    assert len(read_events(path, limit=10, after=0)) == 1


def test_no_file_can_be_made(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "missing" / "journal.db", BOOT)
    assert "cannot be opened" in journal.problem
    assert journal.append(Record("boot")).result() is True
    assert len(journal.events(limit=1, after=0)) == 1
    journal.close()


FULL_DISK = """
import resource, signal, sys, time
from pathlib import Path
from supervisor.core.effects import Record
from supervisor.store import writer
from supervisor.store.journal import Journal

writer._RETRY_SECONDS = 0.1
troubles = []
journal = Journal(Path(sys.argv[1]), "b", troubles.append)
assert journal.append(Record("boot")).result()
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
resource.setrlimit(resource.RLIMIT_FSIZE, (1, hard))
outcomes = [journal.append(Record("boot", reason="x" * 1000)).result() for _ in range(20)]
assert outcomes == [False] * 20, outcomes
assert len(troubles) == 1, troubles
assert len(journal.events(limit=100, after=0)) == 21
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
while not journal.append(Record("again")).result():
    time.sleep(0.05)
journal.close()
"""


def test_full_disk_costs_nothing_but_durability(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    result = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(path)], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    events = read_events(path, limit=100, after=0)
    assert [event["id"] for event in events] == list(range(1, len(events) + 1))
    assert len(events) >= 22


def test_file_that_goes_bad_under_us_is_rebuilt(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    troubles: list[str] = []
    journal = Journal(path, BOOT, troubles.append)
    journal.intend("worker-0", "e1", 3, Path("/run/w0.sock"))
    journal.identify("e1", IDENTITY)
    term, _ = journal.next_term()
    journal.append(Record("boot")).result()
    for suffix in ("", "-wal", "-shm"):
        part = tmp_path / f"journal.db{suffix}"
        part.write_bytes(b"\xff" * part.stat().st_size)
    journal.append(Record("after the damage")).result()
    journal.close()
    again = Journal(path, BOOT)
    assert troubles
    assert [child.identity for child in again.children()] == [IDENTITY]
    assert again.next_term()[0] == term + 1
    again.close()


def test_reading_without_a_supervisor(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    assert read_events(path, limit=1, after=0) == []
    path.write_bytes(b"no database at all" * 500)
    with pytest.raises(sqlite3.DatabaseError):
        read_events(path, limit=1, after=0)
