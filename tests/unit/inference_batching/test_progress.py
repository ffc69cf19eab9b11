from __future__ import annotations

import os
import stat
import struct
import threading
import time
import uuid
from pathlib import Path

from inference.batching.progress import SIZE_BYTES, Phase, ProgressFile

EPOCH = uuid.uuid4().hex
NAMES = ("magic", "sequence", "epoch", "step", "phase", "size", "began", "stepped", "in_flight")


def read(path: Path) -> dict[str, object]:
    """As docs/wire.md section 3 has it; written down anew, so that an error shows."""
    data = path.read_bytes()
    assert len(data) == SIZE_BYTES
    return dict(zip(NAMES, struct.unpack("<4sI16sQIIQQQ", data), strict=True))


def test_layout(tmp_path: Path) -> None:
    path = tmp_path / "w.sock.progress"
    before = time.monotonic_ns()
    progress = ProgressFile(path, EPOCH)
    found = read(path)
    assert (found["magic"], found["epoch"]) == (b"GLPR", uuid.UUID(EPOCH).bytes)
    assert (found["phase"], found["step"], found["in_flight"]) == (0, 0, 0)
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600

    progress.enter(Phase.PREFILL, 77)
    progress.stepped(3)
    found = read(path)
    assert (found["phase"], found["size"], found["step"], found["in_flight"]) == (6, 77, 1, 3)
    assert before < found["began"] <= found["stepped"] <= time.monotonic_ns()  # type: ignore[operator]
    assert found["sequence"] == 6


def test_phases_have_the_numbers_of_the_wire() -> None:
    names = [
        "starting",
        "loading",
        "warming",
        "idle",
        "rendering",
        "vision",
        "prefill",
        "decode",
        "stopping",
    ]
    assert [phase.name.lower() for phase in sorted(Phase)] == names


def test_sequence_goes_round(tmp_path: Path) -> None:
    path = tmp_path / "p"
    progress = ProgressFile(path, EPOCH)
    progress._sequence = 2**32 - 4
    progress.stepped(0)
    assert read(path)["sequence"] == 2**32 - 2
    progress.stepped(0)
    assert read(path)["sequence"] == 0
    progress.stepped(0)
    assert read(path)["sequence"] == 2


def test_readers_never_believe_a_half_written_state(tmp_path: Path) -> None:
    path = tmp_path / "p"
    progress = ProgressFile(path, EPOCH)
    enough = threading.Event()

    def write() -> None:
        number = 0
        while not enough.wait(0.0001):  # the reader needs a gap now and then
            for number in range(number + 1, number + 4):  # noqa: B020
                progress.enter(Phase.DECODE, number, began_ns=number * 1000)

    writer = threading.Thread(target=write)
    writer.start()
    believed = 0
    try:
        while believed < 300:
            first, second = read(path), read(path)
            if first["sequence"] != second["sequence"] or first["sequence"] % 2:  # type: ignore[operator]
                continue
            believed += first["phase"] == Phase.DECODE
            if first["phase"] == Phase.DECODE:
                assert first["began"] == first["size"] * 1000  # type: ignore[operator]
    finally:
        enough.set()
        writer.join()


def test_works_without_a_file() -> None:
    progress = ProgressFile(None, EPOCH)
    progress.enter(Phase.VISION, 4)
    assert (progress.phase, progress.size) == (Phase.VISION, 4)
