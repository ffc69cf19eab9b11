"""One supervisor per state directory: an flock, held as long as the process lives."""

import errno
import fcntl
import json
import os
import signal
import socket
import time
from dataclasses import dataclass
from pathlib import Path

from supervisor.child.procfs import boot_id, identify, matches
from supervisor.child.signals import send
from supervisor.config.paths import Directories
from supervisor.core.model import Identity
from supervisor.runtime.errors import EX_TEMPFAIL, StartError

_LOCK_BYTES = 4096
_TAKE_SECONDS = 5.0
_LEAVING_SECONDS = 2.0
_POLL_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class Holder:
    """What the lock file says about whoever wrote it last."""

    identity: Identity | None
    term: int


class Fence:
    """The held lock; dying gives it up too, and children never inherit it."""

    def __init__(self, descriptor: int, runtime: int, earlier_term: int) -> None:
        self._descriptor = descriptor
        self._runtime = runtime
        self.earlier_term = earlier_term
        """Highest term known from the lock file: it survives the loss of the journal."""

    def sign(self, term: int) -> None:
        """Write down who holds it, for the message to a second supervisor."""
        own = identify(os.getpid())
        text = json.dumps(
            {
                "boot_id": boot_id(),
                "pid": os.getpid(),
                "start_ticks": None if own is None else own.start_ticks,
                "term": term,
            }
        )
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, text.encode(), 0)

    def close(self) -> None:
        """Give it up."""
        os.close(self._descriptor)
        os.close(self._runtime)


def acquire(directories: Directories, *, take_over: bool = False) -> Fence:
    """Take the fence, or StartError with exit code 75 that names the holder.

    `take_over` kills a holder that was stopped (state T), after its identity was verified; a
    running one is never touched. Blocks for at most a few seconds.
    """
    descriptor = os.open(directories.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    holder = _read_holder(descriptor)
    if not (_lock_soon(descriptor, directories) or (take_over and _displace(descriptor, holder))):
        os.close(descriptor)
        raise StartError(_who_holds(directories.lock, holder), EX_TEMPFAIL)
    # Two state directories with one runtime directory would take each other's children for
    # leftovers.
    runtime = os.open(directories.runtime, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    if not _try_lock(runtime):
        os.close(runtime)
        os.close(descriptor)
        text = f"another supervisor uses the runtime directory {directories.runtime}"
        raise StartError(text, EX_TEMPFAIL)
    return Fence(descriptor, runtime, holder.term)


def _lock_soon(descriptor: int, directories: Directories) -> bool:
    """Lock now, or in a moment if the holder listens no more: then it is about to be gone."""
    deadline = time.monotonic() + _LEAVING_SECONDS
    while not _try_lock(descriptor):
        if time.monotonic() > deadline or _listens(directories.control_socket):
            return False
        time.sleep(_POLL_SECONDS)
    return True


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as trying:
        trying.settimeout(_LEAVING_SECONDS)
        return trying.connect_ex(str(path)) not in (errno.ECONNREFUSED, errno.ENOENT)


def _displace(descriptor: int, holder: Holder) -> bool:
    """Kill a stopped holder and take its lock; False when it is not stopped or does not die."""
    stat = None if holder.identity is None else matches(holder.identity)
    if holder.identity is None or stat is None or stat.state not in "Tt":
        return False
    send(holder.identity, signal.SIGKILL)
    deadline = time.monotonic() + _TAKE_SECONDS
    while not _try_lock(descriptor):
        if time.monotonic() > deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True


def _who_holds(path: Path, holder: Holder) -> str:
    stat = None if holder.identity is None else matches(holder.identity)
    name = "another supervisor" if stat is None else f"the supervisor with pid {stat.pid}"
    if stat is not None and stat.state in "Tt":
        return f"{name} holds {path} but is stopped: continue it, or kill it with --take-over"
    return f"{name} already runs on {path.parent}"


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _read_holder(descriptor: int) -> Holder:
    try:
        data = json.loads(os.pread(descriptor, _LOCK_BYTES, 0))
        identity = Identity(str(data["boot_id"]), int(data["pid"]), int(data["start_ticks"]))
        return Holder(identity, int(data["term"]))
    except (ValueError, KeyError, TypeError):
        return Holder(None, 0)
