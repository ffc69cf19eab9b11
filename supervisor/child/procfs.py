"""What /proc says about processes, read without trusting a bare pid."""

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from supervisor.core.model import Identity

_PROC = Path("/proc")
_DEAD = "ZX"
_EXEC_TRIES = 10
_EXEC_SECONDS = 0.001


@dataclass(frozen=True, slots=True)
class Stat:
    """One line of /proc/PID/stat, as far as supervision needs it (proc(5))."""

    pid: int
    state: str
    """One letter: R, S, D, T, t, Z, X, I."""
    parent: int
    group: int
    session: int
    start_ticks: int
    """Field 22: clock ticks between boot and the start of the process."""

    @property
    def alive(self) -> bool:
        """A zombie is gone: it runs nothing and holds nothing."""
        return self.state not in _DEAD


@cache
def boot_id() -> str:
    """Identifier of this boot of the kernel; pids of another boot mean nothing."""
    return (_PROC / "sys/kernel/random/boot_id").read_text().strip()


def read_stat(pid: int) -> Stat | None:
    """The process with this pid, zombies included; None if there is none."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            line = file.read()
    except OSError:
        return None
    # The name is in parentheses and may itself hold parentheses and blanks.
    fields = line[line.rindex(b")") + 2 :].split()
    return Stat(
        pid=pid,
        state=fields[0].decode(),
        parent=int(fields[1]),
        group=int(fields[2]),
        session=int(fields[3]),
        start_ticks=int(fields[19]),
    )


def snapshot() -> dict[int, Stat]:
    """All processes at about one moment, by pid."""
    table: dict[int, Stat] = {}
    for name in os.listdir(_PROC):
        if name.isdigit() and (stat := read_stat(int(name))) is not None:
            table[stat.pid] = stat
    return table


def command_line(pid: int) -> tuple[str, ...]:
    """Arguments of a process; empty for kernel threads, zombies and dead ones.

    In the middle of an exec they are empty too, for less than a millisecond: worth a short wait.
    """
    for _ in range(_EXEC_TRIES):
        try:
            raw = (_PROC / str(pid) / "cmdline").read_bytes()
        except OSError:
            return ()
        if raw or not _has_program(pid):
            break
        time.sleep(_EXEC_SECONDS)
    return tuple(part.decode(errors="replace") for part in raw.split(b"\0")[:-1])


def _has_program(pid: int) -> bool:
    try:
        (_PROC / str(pid) / "exe").readlink()
    except OSError:
        return False
    return True


def has_environment(pid: int, entry: str) -> bool:
    """Whether a process was started with exactly this `NAME=value`; False if it cannot be read."""
    try:
        raw = (_PROC / str(pid) / "environ").read_bytes()
    except OSError:
        return False
    return entry.encode() in raw.split(b"\0")


def identify(pid: int) -> Identity | None:
    """Identity of the process that has this pid now (a zombie too); None if there is none."""
    stat = read_stat(pid)
    return None if stat is None else identity_of(stat)


def identity_of(stat: Stat) -> Identity:
    """Identity of a process of this boot."""
    return Identity(boot_id(), stat.pid, stat.start_ticks)


def matches(identity: Identity, table: Mapping[int, Stat] | None = None) -> Stat | None:
    """The very process this identity names (perhaps a zombie), or None when it is no more."""
    if identity.boot_id != boot_id():
        return None
    stat = read_stat(identity.pid) if table is None else table.get(identity.pid)
    return stat if stat is not None and stat.start_ticks == identity.start_ticks else None


def is_alive(identity: Identity) -> bool:
    """Whether this very process still runs; a zombie and a reused pid do not count."""
    stat = matches(identity)
    return stat is not None and stat.alive
