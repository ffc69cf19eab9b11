"""Every process of one generation, also those that left its session.

A daemonised grandchild changes session and parent. So the tree is walked now and then while all is
well and remembers whom it has seen; what started between two walks is recognised by the epoch in
its arguments (fork without exec) or in its environment.
"""

import signal
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from supervisor.child import cgroup
from supervisor.child.procfs import Stat, command_line, has_environment, identity_of, snapshot
from supervisor.child.signals import send
from supervisor.core.model import Identity

EPOCH_VARIABLE = "GLYPH_EPOCH"
_FREEZE_ROUNDS = 50
_KILL_ROUNDS = 20
_PAUSE_SECONDS = 0.01


class Tree:
    """The processes that belong to one epoch; `walk` may be called from any thread, but one at a
    time.
    """

    def __init__(self, root: Identity, epoch: str, group: Path | None = None) -> None:
        self.root = root
        self.epoch = epoch
        self.group = group
        self._members: dict[int, int] = {root.pid: root.start_ticks}
        self._strangers: dict[int, int] = {}
        self._last_pids = frozenset({root.pid})
        self._lock = threading.Lock()

    def walk(
        self, table: Mapping[int, Stat] | None = None, *, thorough: bool = False
    ) -> list[Stat]:
        """Living processes of the tree now. `thorough` asks strangers again instead of remembering
        them.
        """
        with self._lock:
            return self._walk(snapshot() if table is None else table, thorough)

    def pids(self) -> frozenset[int]:
        """Pids seen at the last walk that had any; a dead tree keeps those of its last life."""
        return self._last_pids

    def _walk(self, table: Mapping[int, Stat], thorough: bool) -> list[Stat]:
        self._members = {
            pid: ticks
            for pid, ticks in self._members.items()
            if pid in table and table[pid].start_ticks == ticks
        }
        self._strangers = {
            pid: ticks
            for pid, ticks in self._strangers.items()
            if not thorough and pid in table and table[pid].start_ticks == ticks
        }
        in_group = set(cgroup.members(self.group)) if self.group else set[int]()
        while self._adopt_relatives(table, in_group, self._session_is_ours(table)):
            pass
        self._last_pids = frozenset(self._members) or self._last_pids
        return [table[pid] for pid in self._members if table[pid].alive]

    def _session_is_ours(self, table: Mapping[int, Stat]) -> bool:
        # The number of a session cannot be reused while it has a member; without a known one it
        # proves nothing.
        return any(table[pid].session == self.root.pid for pid in self._members)

    def _adopt_relatives(
        self, table: Mapping[int, Stat], in_group: set[int], by_session: bool
    ) -> bool:
        found = False
        for pid, stat in table.items():
            if pid in self._members or stat.start_ticks < self.root.start_ticks:
                continue
            related = stat.parent in self._members or pid in in_group
            related = related or (by_session and stat.session == self.root.pid)
            if related or self._is_marked(stat):
                self._members[pid] = stat.start_ticks
                found = True
        return found

    def _is_marked(self, stat: Stat) -> bool:
        if not stat.alive or self._strangers.get(stat.pid) == stat.start_ticks:
            return False
        if self.epoch in command_line(stat.pid):
            return True
        if has_environment(stat.pid, f"{EPOCH_VARIABLE}={self.epoch}"):
            return True
        self._strangers[stat.pid] = stat.start_ticks
        return False

    def is_gone(self) -> bool:
        """Whether no process of the tree lives any more."""
        return not self.walk(thorough=True)

    def kill(self) -> int:
        """SIGKILL the whole tree and return how many living processes are left (those in state D,
        say).

        Blocking for a fraction of a second at most: call it in a thread. Frozen processes cannot
        fork away between the walk and the kill, so the tree is stopped first, again and again until
        nobody new turns up.
        """
        if self.group is not None:
            cgroup.kill(self.group)
        for _ in range(_FREEZE_ROUNDS):
            running = [stat for stat in self.walk(thorough=True) if stat.state not in "TtD"]
            if not running:
                break
            for stat in running:
                send(identity_of(stat), signal.SIGSTOP)
            time.sleep(_PAUSE_SECONDS)
        left: list[Stat] = []
        for _ in range(_KILL_ROUNDS):
            left = self.walk(thorough=True)
            if not left:
                break
            for stat in left:
                send(identity_of(stat), signal.SIGKILL)
            time.sleep(_PAUSE_SECONDS)
        return len(left)
