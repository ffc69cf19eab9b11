"""Read a worker's progress file (docs/wire.md, section 3): this decides hangs, not HTTP."""

import os
import struct
import time
from dataclasses import dataclass
from pathlib import Path

from supervisor.core.events import Outcome

LAYOUT = struct.Struct("<4sI16sQIIQQQ")
MAGIC = b"GLPR"
PHASES = (
    "starting",
    "loading",
    "warming",
    "idle",
    "rendering",
    "vision",
    "prefill",
    "decode",
    "stopping",
)
_TRIES = 20


@dataclass(frozen=True, slots=True)
class ProgressReading:
    """One look at the engine's heartbeat."""

    outcome: Outcome
    step: int = 0
    phase: str = ""
    size: int = 0
    age_seconds: float = 0.0
    """How long the current phase, or this step of it, has been going on."""
    in_flight: int = 0
    process_state: str = ""


def read_progress(socket: Path, epoch: str, pid: int) -> ProgressReading:
    """Look once, without waiting for the worker; UNKNOWN while there is no file, FAILED for another
    epoch's.
    """
    letter = process_state(pid)
    try:
        descriptor = os.open(f"{socket}.progress", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return ProgressReading(Outcome.UNKNOWN, process_state=letter)
    try:
        raw = _consistent(descriptor)
    finally:
        os.close(descriptor)
    if len(raw) < LAYOUT.size:
        return ProgressReading(Outcome.UNKNOWN, process_state=letter)
    magic, _, uuid, step, phase, size, began_ns, _, in_flight = LAYOUT.unpack(raw)
    if magic != MAGIC or uuid.hex() != epoch or phase >= len(PHASES):
        return ProgressReading(Outcome.FAILED, process_state=letter)
    age_seconds = max(0.0, (time.monotonic_ns() - began_ns) / 1e9)
    return ProgressReading(Outcome.OK, step, PHASES[phase], size, age_seconds, in_flight, letter)


def _consistent(descriptor: int) -> bytes:
    """The same even sequence before and after; a writer stopped in mid-write is taken as it stands.

    Its sequence stays odd for ever, and a hang must be visible then too; both its old and its new
    times are true.
    """
    raw = b""
    for _ in range(_TRIES):
        raw = os.pread(descriptor, LAYOUT.size, 0)
        again = os.pread(descriptor, 8, 0)
        sequence = int.from_bytes(raw[4:8], "little")
        if raw[:8] == again and sequence % 2 == 0:
            break
    return raw


def process_state(pid: int) -> str:
    """Letter from /proc/PID/stat; empty when there is no such process."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            line = file.read()
    except OSError:
        return ""
    return line[line.rindex(b")") + 2 :][:1].decode()
