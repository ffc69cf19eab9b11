"""What a process costs: memory, threads, descriptors, dead children."""

from dataclasses import dataclass
from pathlib import Path

import psutil

from supervisor.core.events import Outcome


@dataclass(frozen=True, slots=True)
class ProcessReading:
    """One look at a process; all counts are 0 unless the outcome is OK."""

    outcome: Outcome
    rss_bytes: int = 0
    threads: int = 0
    descriptors: int = 0
    zombies: int = 0
    """Children it has not collected."""
    cpu_seconds: float = 0.0


def read_process(pid: int, start_ticks: int, clock_ticks: int) -> ProcessReading:
    """Look at one process; REFUSED when it is gone, also when its pid has a new owner. Blocking:
    call it in a thread.
    """
    try:
        process = psutil.Process(pid)
        with process.oneshot():
            if not _same(process, start_ticks, clock_ticks):
                return ProcessReading(Outcome.REFUSED)
            cpu = process.cpu_times()
            reading = ProcessReading(
                Outcome.OK,
                process.memory_info().rss,
                process.num_threads(),
                process.num_fds(),
                _zombies(process),
                cpu.user + cpu.system,
            )
    except psutil.NoSuchProcess:
        return ProcessReading(Outcome.REFUSED)
    except (psutil.Error, OSError):
        return ProcessReading(Outcome.UNKNOWN)
    return reading


def _zombies(process: psutil.Process) -> int:
    """Its dead children. The kernel's own list of them (proc(5), CONFIG_PROC_CHILDREN) saves the
    look at every process of the machine, which psutil would have to take.
    """
    try:
        lists = [
            (thread / "children").read_text()
            for thread in Path(f"/proc/{process.pid}/task").iterdir()
        ]
    except OSError:  # no such list here, or a thread ended just now
        return sum(_is_zombie(child.pid) for child in process.children())
    return sum(_is_zombie(int(pid)) for line in lists for pid in line.split())


def _is_zombie(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False  # collected between two looks, which says nothing of its parent


def _same(process: psutil.Process, start_ticks: int, clock_ticks: int) -> bool:
    # psutil gives the start as wall time; half a second covers its rounding, no pid is reused so
    # fast.
    return abs(process.create_time() - psutil.boot_time() - start_ticks / clock_ticks) < 2.0
