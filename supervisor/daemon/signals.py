"""What a signal means: stop, reload, or hand over to a successor (design of the supervisor,
Signals).
"""

import asyncio
import os
import signal
from pathlib import Path

_ASK_SECONDS = 1.0


def has_terminal() -> bool:
    """Whether we were started from a terminal whose end is to be ours as well."""
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError:
        return False
    return True


def hangup_is_ignored() -> bool:
    """Whether our parent (nohup) decided that the terminal's end does not concern us."""
    return signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


def own_unit(cgroups: str) -> tuple[str, bool] | None:
    """Name of the systemd service a process is in, and whether it is a user's; from
    /proc/PID/cgroup.
    """
    for line in cgroups.splitlines():
        parts = line.rpartition(":")[2].split("/")
        units = [part for part in parts if part.endswith(".service") and "@" not in part[:5]]
        if units:
            return units[-1], any(part.startswith("user@") for part in parts)
    return None


async def systemd_restarts_us() -> bool:
    """Whether systemd's job for our unit is of type `restart`; False when that cannot be learnt."""
    if "INVOCATION_ID" not in os.environ:
        return False
    unit = own_unit(await asyncio.to_thread(Path("/proc/self/cgroup").read_text))
    if unit is None:
        return False
    name, is_user = unit
    argv = ["systemctl", *(["--user"] if is_user else []), "list-jobs", "--no-legend", "--plain"]
    try:
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
    except OSError:
        return False
    try:
        async with asyncio.timeout(_ASK_SECONDS):
            output, _ = await process.communicate()
    except TimeoutError:
        return False
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return is_restart_job(output.decode(errors="replace"), name)


def is_restart_job(listing: str, unit: str) -> bool:
    """Look for `ID UNIT restart STATE` in systemctl's list of jobs."""
    rows = (line.split() for line in listing.splitlines())
    return any(len(row) >= 3 and row[1] == unit and row[2] == "restart" for row in rows)
