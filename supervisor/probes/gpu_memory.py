"""Whether dead processes still hold device memory, asked in a disposable process."""

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import Collection
from dataclasses import dataclass

from supervisor.core.events import Outcome

# What supervisor.probes.nvml says on a machine without the driver; importing it would load the
# bindings here.
NO_LIBRARY = "no_library"
NO_GPU = "no GPU: nothing to give back"
# Without one of these no process here can hold device memory (the second is WSL's).
_DEVICE_NODES = ("/dev/nvidiactl", "/dev/dxg")
_LOOKER = (sys.executable, "-m", "supervisor.probes.nvml")
_ANSWER_BYTES = 1 << 20
_REAP_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class MemoryReading:
    """OK: no pid is listed any more. FAILED: some still are. UNKNOWN: nobody could tell."""

    outcome: Outcome
    detail: str


async def read_memory(
    pids: Collection[int], timeout_seconds: float, argv: tuple[str, ...] = _LOOKER
) -> MemoryReading:
    """Look once; never raises and never takes longer than the deadline."""
    if argv == _LOOKER and not _has_device():
        return MemoryReading(Outcome.OK, NO_GPU)
    try:
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
            limit=_ANSWER_BYTES,
        )
    except OSError as error:
        return MemoryReading(Outcome.UNKNOWN, f"cannot start the look: {error}")
    assert process.stdout is not None
    try:
        async with asyncio.timeout(timeout_seconds):
            line = await process.stdout.readline()
            await process.wait()
    except TimeoutError:
        return MemoryReading(Outcome.UNKNOWN, f"no answer within {timeout_seconds:g} s")
    finally:
        await _end(process)
    return judge(line, pids)


async def _end(process: asyncio.subprocess.Process) -> None:
    """Kill a look that did not end; one stuck in the kernel is not waited for."""
    if process.returncode is None:
        process.kill()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_REAP_SECONDS):
                await process.wait()


def _has_device() -> bool:
    return any(os.path.exists(node) for node in _DEVICE_NODES)


def judge(line: bytes, pids: Collection[int]) -> MemoryReading:
    """What one answer says about these pids."""
    try:
        answer = json.loads(line)
    except ValueError:
        return MemoryReading(Outcome.UNKNOWN, "no readable answer")
    if not isinstance(answer, dict):
        return MemoryReading(Outcome.UNKNOWN, "no readable answer")
    if answer.get("error") == NO_LIBRARY or answer.get("gpus") == []:
        return MemoryReading(Outcome.OK, NO_GPU)
    if "gpus" not in answer:
        return MemoryReading(Outcome.UNKNOWN, str(answer.get("error", "no readable answer")))
    holders = [
        f"GPU {gpu['index']}: pid {pid}"
        for gpu in answer["gpus"]
        for pid in gpu["pids"]
        if pid in pids
    ]
    if holders:
        return MemoryReading(Outcome.FAILED, "still held: " + ", ".join(holders))
    used = ", ".join(
        f"GPU {gpu['index']}: {gpu['used_bytes']} bytes used" for gpu in answer["gpus"]
    )
    return MemoryReading(Outcome.OK, used)
