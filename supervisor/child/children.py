"""The processes we answer for, our own and adopted ones, each watched through its pidfd."""

import asyncio
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from supervisor.child import cgroup
from supervisor.child.exits import killed_by_kernel, read_last_word, report
from supervisor.child.signals import open_pidfd
from supervisor.child.tree import Tree
from supervisor.core.model import ExitReport, Identity

_REAP_SECONDS = 0.05


@dataclass(slots=True)
class Child:
    """One living generation, seen from outside."""

    slot: str
    epoch: str
    number: int
    identity: Identity
    socket: Path
    log: Path
    tree: Tree
    process: "subprocess.Popen[bytes] | None" = None
    """None: adopted, not our child; its exit status is unknowable."""
    exit: ExitReport | None = field(default=None)
    pidfd: int | None = field(default=None)


OnExit = Callable[[Child, ExitReport], None]


class Children:
    """Register of children by epoch. Only our own pids are ever reaped, never `waitpid(-1)`."""

    def __init__(self, on_exit: OnExit) -> None:
        self._on_exit = on_exit
        self._by_epoch: dict[str, Child] = {}

    def __iter__(self) -> Iterator[Child]:
        return iter(tuple(self._by_epoch.values()))

    def get(self, epoch: str) -> Child | None:
        """The child of this epoch, dead or alive, until it is forgotten."""
        return self._by_epoch.get(epoch)

    def watch(self, child: Child) -> None:
        """Follow a child; `on_exit` is called once, from the loop, when it dies or is dead."""
        self._by_epoch[child.epoch] = child
        loop = asyncio.get_running_loop()
        child.pidfd = open_pidfd(child.identity)
        if child.pidfd is None:
            loop.call_soon(self._dead, child)
        else:
            loop.add_reader(child.pidfd, self._dead, child)

    def keep(self, child: Child) -> None:
        """Hold a child that was found dead, so that the rest of its tree can be killed."""
        child.exit = how_it_ended(child)
        self._by_epoch[child.epoch] = child

    def forget(self, epoch: str) -> None:
        """Stop following a child, whether it lives or not."""
        child = self._by_epoch.pop(epoch, None)
        if child is not None:
            self._close(child)

    def release(self) -> None:
        """Stop following all of them and let them live on without us."""
        for epoch in tuple(self._by_epoch):
            process = self._by_epoch[epoch].process
            if process is not None and process.returncode is None:
                # Their next parent reaps them; without this the interpreter warns of an unfinished
                # child.
                process.returncode = 0
            self.forget(epoch)

    def _close(self, child: Child) -> None:
        if child.pidfd is not None:
            asyncio.get_running_loop().remove_reader(child.pidfd)
            os.close(child.pidfd)
            child.pidfd = None

    def _dead(self, child: Child) -> None:
        if child.epoch not in self._by_epoch or child.exit is not None:
            return
        if child.process is not None and child.process.poll() is None:
            # The pidfd can be readable a moment before the status can be collected.
            asyncio.get_running_loop().call_later(_REAP_SECONDS, self._dead, child)
            return
        self._close(child)
        child.exit = how_it_ended(child)
        self._on_exit(child, child.exit)


def how_it_ended(child: Child) -> ExitReport:
    """All that can be known about the end of a dead child."""
    code = None if child.process is None else child.process.returncode
    word = read_last_word(child.socket, child.epoch)
    group = child.tree.group
    starved = (
        word is None
        and code in (None, -signal.SIGKILL)
        and (
            (group is not None and cgroup.oom_kills(group) > 0) or killed_by_kernel(child.identity)
        )
    )
    return report(code, word, out_of_memory=starved)
