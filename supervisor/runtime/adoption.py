"""Find what an earlier supervisor left behind: adopt what is known, fence what is not.

Known is what the journal remembers, or, when the journal was lost, what the mark beside the socket
says. Everything else that carries an epoch and a socket of ours is killed before anything is
started: two workers on one GPU are worse than none.
"""

import logging
import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from supervisor.child.procfs import is_alive
from supervisor.child.scan import Leftover, find_leftovers
from supervisor.child.tree import Tree
from supervisor.core.events import Adopted, Event, FoundDead, Remembered
from supervisor.core.model import ExitReport, Phase, Replacement
from supervisor.runtime import clock
from supervisor.runtime.launcher import make_child
from supervisor.runtime.layout import Layout, read_mark
from supervisor.runtime.world import World
from supervisor.store.codec import ChildMemory, SlotMemory
from supervisor.store.events import wall_now
from supervisor.store.journal import Journal

_LOG = logging.getLogger(__name__)
_EXEC_SECONDS = 0.5
_POLL_SECONDS = 0.02
_ONCE_READY = (Phase.READY, Phase.DRAINING, Phase.STOPPING)


@dataclass(frozen=True, slots=True)
class Survey:
    """What there is, sorted."""

    living: tuple[ChildMemory, ...] = ()
    dead: tuple[ChildMemory, ...] = ()
    unknown: tuple[Leftover, ...] = ()
    """Nobody remembers them, or a newer one has their slot."""
    stale: tuple[ChildMemory, ...] = ()
    """Dead and replaced already: only their files are left."""


def survey(layout: Layout, journal: Journal) -> Survey:
    """Compare the journal with /proc. Reads, changes nothing."""
    memories = {child.epoch: child for child in journal.children()}
    leftovers = _find(layout.directories.runtime, tuple(memories.values()))
    if journal.is_new:
        memories |= {child.epoch: child for child in _marked(leftovers.values())}
    newest: dict[str, ChildMemory] = {}
    for child in memories.values():
        if child.slot in layout.slots:
            known = newest.get(child.slot)
            newest[child.slot] = child if known is None or child.number > known.number else known
    living: list[ChildMemory] = []
    dead: list[ChildMemory] = []
    for child in newest.values():
        found = _verified(child, leftovers.get(child.epoch))
        if found is None:
            dead.append(child)
        else:
            living.append(found)
            leftovers.pop(child.epoch)
    # Their main process is dead; what is left of the tree is killed by the core's own order.
    dead = [_with_root(child, leftovers.pop(child.epoch, None)) for child in dead]
    stale = tuple(child for child in memories.values() if child not in newest.values())
    return Survey(tuple(living), tuple(dead), tuple(leftovers.values()), stale)


def _find(runtime: Path, memories: Collection[ChildMemory]) -> dict[str, Leftover]:
    """All leftovers by epoch, after a moment of patience with those that must be about to show up.

    A supervisor killed while it starts a child leaves a process that has not its arguments yet.
    """
    deadline = time.monotonic() + _EXEC_SECONDS
    while True:
        found = {leftover.epoch: leftover for leftover in find_leftovers(runtime)}
        awaited = (child for child in memories if child.epoch not in found and _may_live(child))
        if next(awaited, None) is None or time.monotonic() > deadline:
            return found
        time.sleep(_POLL_SECONDS)


def _may_live(child: ChildMemory) -> bool:
    if child.identity is None:
        return child.phase is Phase.SPAWNED
    return is_alive(child.identity)


def _with_root(child: ChildMemory, left: Leftover | None) -> ChildMemory:
    """The dead child; if nobody ever knew who it was, by the oldest process it left."""
    if child.identity is not None or left is None:
        return child
    return replace(child, identity=left.root)


def _marked(leftovers: Iterable[Leftover]) -> Iterable[ChildMemory]:
    for found in leftovers:
        mark = read_mark(found.socket)
        if mark is not None and mark.epoch == found.epoch:
            # Nobody knows its phase any more; had it never served, its gateway would not have used
            # it.
            yield ChildMemory(
                mark.slot, mark.epoch, mark.number, Phase.READY, str(found.socket), wall_now()
            )


def _verified(child: ChildMemory, found: Leftover | None) -> ChildMemory | None:
    """The child with the identity of its living main process; None when that is not alive."""
    if found is None or found.leader is None or not is_alive(found.leader):
        return None
    if child.identity is not None and child.identity != found.leader:
        return None
    return replace(child, identity=found.leader)


def fence_unknown(result: Survey, journal: Journal, runtime: Path) -> None:
    """Kill what must not live and remove files that belong to nobody. Blocking."""
    for leftover in result.unknown:
        _LOG.warning("killing a leftover nobody remembers: %s", leftover.socket)
        Tree(leftover.root, leftover.epoch).kill()
        journal.forget(leftover.epoch)
    for child in result.stale:
        journal.forget(child.epoch)
    kept = {Path(child.socket).name for child in (*result.living, *result.dead)}
    for pattern in ("w*-*.sock*", "gw-*.sock*"):
        for path in runtime.glob(pattern):
            if path.name.partition(".sock")[0] + ".sock" not in kept:
                path.unlink(missing_ok=True)


def adopt(world: World, result: Survey) -> None:
    """Follow the living again, hold the dead for the rest of their trees."""
    for memory in result.living:
        assert memory.identity is not None
        child = make_child(world, memory.slot, memory.epoch, memory.number, memory.identity)
        world.journal.keep(memory)
        world.children.watch(child)
    for memory in result.dead:
        if memory.identity is not None:
            child = make_child(world, memory.slot, memory.epoch, memory.number, memory.identity)
            world.children.keep(child)


def news(world: World, result: Survey) -> list[Event]:
    """What the core is told before it decides anything."""
    at = clock.now()
    slots = {memory.name: memory for memory in world.journal.slots()}
    occupied = {child.slot for child in (*result.living, *result.dead)}
    events: list[Event] = [
        _remembered(slots[name], at, occupied) for name in world.layout.slots if name in slots
    ]
    for memory in result.living:
        assert memory.identity is not None
        ready_at = memory.ready_at
        if ready_at is None and memory.phase in _ONCE_READY:
            ready_at = at
        events.append(
            Adopted(
                at,
                memory.slot,
                memory.epoch,
                memory.number,
                memory.identity,
                memory.phase,
                ready_at,
                _replacement(slots, memory),
                memory.end_cause,
            )
        )
    for memory in result.dead:
        child = world.children.get(memory.epoch)
        events.append(
            FoundDead(
                at,
                memory.slot,
                memory.epoch,
                memory.number,
                memory.exit or (None if child is None else child.exit) or ExitReport(),
                memory.ready_at is not None,
                _replacement(slots, memory),
                None if child is None else child.identity,
                memory.exit is not None,
                memory.end_cause,
            )
        )
    return events


def _remembered(memory: SlotMemory, at: float, occupied: set[str]) -> Remembered:
    return Remembered(
        at=at,
        slot=memory.name,
        want=memory.want,
        generations=memory.generations,
        crashes_in_row=memory.crashes_in_row,
        restarts=memory.restarts,
        watchdog_restarts=memory.watchdog_restarts,
        replacement=None if memory.name in occupied else memory.replacement,
        broken=memory.broken,
        start_at=memory.start_at,
        failing=memory.failing,
        load_estimate_seconds=memory.load_estimate_seconds,
    )


def _replacement(slots: dict[str, SlotMemory], memory: ChildMemory) -> Replacement | None:
    slot = slots.get(memory.slot)
    return None if slot is None else slot.replacement
