import os
import time
import uuid
from pathlib import Path

from supervisor.core.events import Outcome
from supervisor.probes.progress import LAYOUT, MAGIC, read_progress

EPOCH = uuid.uuid4().hex


def write(socket: Path, *, sequence: int = 2, epoch: str = EPOCH, age_seconds: float = 3.0) -> None:
    began = time.monotonic_ns() - int(age_seconds * 1e9)
    raw = LAYOUT.pack(MAGIC, sequence, bytes.fromhex(epoch), 41, 7, 8, began, began, 5)
    assert len(raw) == 64
    Path(f"{socket}.progress").write_bytes(raw)


def test_a_step_under_way(tmp_path: Path) -> None:
    socket = tmp_path / "w0.sock"
    write(socket)
    reading = read_progress(socket, EPOCH, os.getpid())
    assert reading.outcome is Outcome.OK
    assert (reading.step, reading.phase, reading.size, reading.in_flight) == (41, "decode", 8, 5)
    assert 3.0 <= reading.age_seconds < 30.0
    assert reading.process_state == "R"


def test_writer_stopped_in_mid_write_is_still_seen(tmp_path: Path) -> None:
    socket = tmp_path / "w0.sock"
    write(socket, sequence=3, age_seconds=60)
    reading = read_progress(socket, EPOCH, os.getpid())
    assert reading.outcome is Outcome.OK
    assert reading.age_seconds >= 60


def test_missing_short_and_foreign_files(tmp_path: Path) -> None:
    socket = tmp_path / "w0.sock"
    assert read_progress(socket, EPOCH, 1).outcome is Outcome.UNKNOWN
    Path(f"{socket}.progress").write_bytes(b"GLPR")
    assert read_progress(socket, EPOCH, 1).outcome is Outcome.UNKNOWN
    write(socket, epoch=uuid.uuid4().hex)
    assert read_progress(socket, EPOCH, 1).outcome is Outcome.FAILED
    Path(f"{socket}.progress").write_bytes(b"X" * 64)
    assert read_progress(socket, EPOCH, 1).outcome is Outcome.FAILED


def test_no_such_process_has_no_letter(tmp_path: Path) -> None:
    assert read_progress(tmp_path / "x", EPOCH, 2**22 + 1).process_state == ""
