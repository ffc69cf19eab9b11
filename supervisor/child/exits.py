"""How a process ended: its own word in `exit.json`, its wait status, and evidence of the OOM
killer.
"""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from supervisor.core.model import ExitReport, Identity

_EXIT_FILE_BYTES = 65536
_KERNEL_LINES = 2000


@dataclass(frozen=True, slots=True)
class LastWord:
    """What a child wrote before it left deliberately."""

    code: int
    reason: str


def read_last_word(socket: Path, epoch: str) -> LastWord | None:
    """Content of SOCKET.exit.json if this epoch wrote it; None: a signal or a crash."""
    try:
        with open(f"{socket}.exit.json", "rb") as file:
            data = json.loads(file.read(_EXIT_FILE_BYTES))
    except (OSError, ValueError):
        return None
    if not isinstance(data, dict) or data.get("epoch") != epoch:
        return None
    code, reason = data.get("code"), data.get("reason")
    return LastWord(code, str(reason)) if isinstance(code, int) else None


def report(
    return_code: int | None, word: LastWord | None, *, out_of_memory: bool = False
) -> ExitReport:
    """Merge what is known. `return_code` is subprocess's (negative: a signal), None for a foreign
    child.
    """
    reported = None if word is None else word.reason
    if return_code is None:
        return ExitReport(
            code=None if word is None else word.code, reported=reported, out_of_memory=out_of_memory
        )
    if return_code < 0:
        return ExitReport(signal=-return_code, reported=reported, out_of_memory=out_of_memory)
    return ExitReport(code=return_code, reported=reported, out_of_memory=out_of_memory)


def killed_by_kernel(identity: Identity) -> bool:
    """Whether the kernel log says its OOM killer ended this process; False when the log cannot be
    read.
    """
    needle = f"Killed process {identity.pid} ("
    started_us = identity.start_ticks * 1_000_000 // os.sysconf("SC_CLK_TCK")
    return any(needle in line and _stamp_us(line) >= started_us for line in _kernel_log())


def _stamp_us(record: str) -> int:
    # A record is "priority,sequence,microseconds,flags;text" (Documentation/ABI/testing/dev-kmsg).
    parts = record.split(",", 3)
    return int(parts[2]) if len(parts) == 4 and parts[2].isdigit() else 0


def _kernel_log() -> Iterator[str]:
    try:
        descriptor = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return
    try:
        for _ in range(_KERNEL_LINES):
            try:
                yield os.read(descriptor, 8192).decode(errors="replace")
            except BlockingIOError:
                return
            except OSError:
                continue  # EPIPE: this line was overwritten while we read; the next one is whole
    finally:
        os.close(descriptor)
