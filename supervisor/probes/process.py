"""What a process costs: memory, threads, descriptors, dead children."""

from dataclasses import dataclass

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
                sum(child.status() == psutil.STATUS_ZOMBIE for child in process.children()),
                cpu.user + cpu.system,
            )
    except psutil.NoSuchProcess:
        return ProcessReading(Outcome.REFUSED)
    except (psutil.Error, OSError):
        return ProcessReading(Outcome.UNKNOWN)
    return reading


def _same(process: psutil.Process, start_ticks: int, clock_ticks: int) -> bool:
    # psutil gives the start as wall time; half a second covers its rounding, no pid is reused so
    # fast.
    return abs(process.create_time() - psutil.boot_time() - start_ticks / clock_ticks) < 2.0
