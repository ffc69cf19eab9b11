"""The progress file: 64 bytes of shared memory that tell what the engine is doing.

docs/wire.md section 3. It can be read while this process is stopped or its HTTP does not answer;
that is its purpose. Only the engine thread writes once it runs.
"""

from __future__ import annotations

import mmap
import os
import struct
import time
import uuid
from enum import IntEnum
from pathlib import Path

MAGIC = b"GLPR"
SIZE_BYTES = 64
_LAYOUT = struct.Struct("<4sI16sQIIQQQ")
_SEQUENCE = struct.Struct("<I")
_SEQUENCE_OFFSET = 4


class Phase(IntEnum):
    """What the engine is doing."""

    STARTING = 0
    LOADING = 1
    WARMING = 2
    IDLE = 3
    RENDERING = 4
    VISION = 5
    PREFILL = 6
    DECODE = 7
    STOPPING = 8


class ProgressFile:
    """Writer of the progress file; also the worker's own record of it (`path` None: that alone)."""

    def __init__(self, path: Path | None, epoch: str) -> None:
        """Create the file with mode 0600, mapped shared, in phase STARTING."""
        self._map = mmap.mmap(-1, SIZE_BYTES) if path is None else _map_file(path)
        self._epoch = uuid.UUID(epoch).bytes
        self._sequence = 0
        self.step = 0
        """Completed engine steps, idle beats included."""
        self.phase = Phase.STARTING
        self.size = 0
        """Patches, tokens or slots the phase deals with; else 0."""
        self.began_ns = self.stepped_ns = time.monotonic_ns()
        """When this phase began and the last step ended, monotonic."""
        self.in_flight = 0
        """Requests in the engine."""
        self._write()

    def enter(self, phase: Phase, size: int = 0, began_ns: int | None = None) -> None:
        """A phase, or the next step of it, begins."""
        self.phase, self.size = phase, size
        self.began_ns = time.monotonic_ns() if began_ns is None else began_ns
        self._write()

    def stepped(self, in_flight: int) -> None:
        """A step is complete."""
        self.step += 1
        self.in_flight = in_flight
        self.stepped_ns = time.monotonic_ns()
        self._write()

    def _write(self) -> None:
        """Seqlock: the sequence is odd while the other fields are not to be believed."""
        writing, self._sequence = self._sequence + 1, (self._sequence + 2) % 2**32
        _SEQUENCE.pack_into(self._map, _SEQUENCE_OFFSET, writing)
        _LAYOUT.pack_into(
            self._map,
            0,
            MAGIC,
            writing,
            self._epoch,
            self.step,
            self.phase,
            self.size,
            self.began_ns,
            self.stepped_ns,
            self.in_flight,
        )
        _SEQUENCE.pack_into(self._map, _SEQUENCE_OFFSET, self._sequence)


def _map_file(path: Path) -> mmap.mmap:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.ftruncate(descriptor, SIZE_BYTES)
        return mmap.mmap(descriptor, SIZE_BYTES)
    finally:
        os.close(descriptor)
