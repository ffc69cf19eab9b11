"""The transition table. Everything that affects a phase lives here.

A row is where a slot stands, a column is what happens to it, a cell is the move made and where it
may lead. A pair that is not in the table is an error: `step` raises it (strict) or records and
ignores it. `supervisor.core.diagram` draws docs/lifecycle.md from this table; `step` refuses a move
that leads elsewhere than its cell says.
"""

from dataclasses import dataclass
from enum import StrEnum

from supervisor.core.model import Phase, Slot, Want


class Station(StrEnum):
    """Where a slot stands: the phase of its generation, or why it has none."""

    SPAWNED = "spawned"
    LOADING = "loading"
    WARMING = "warming"
    READY = "ready"
    DRAINING = "draining"
    STOPPING = "stopping"
    KILLING = "killing"
    GONE = "gone"
    RECLAIMED = "reclaimed"
    BACKOFF = "backoff"
    """It will be started at `start_at`, or at the next tick."""
    BROKEN = "broken"
    DOWN = "down"
    """Nobody wants it up, or it is paused and nobody asked for a restart."""


class Trigger(StrEnum):
    """What can happen to a slot."""

    SPAWNED = "Spawned"
    SPAWN_FAILED = "SpawnFailed"
    HEALTH_READ = "HealthRead"
    PROGRESS_READ = "ProgressRead"
    WARM_UP_DONE = "WarmUpDone"
    EXITED = "Exited"
    TREE_GONE = "TreeGone"
    MEMORY_READ = "MemoryRead"
    IN_FLIGHT_READ = "InFlightRead"
    RESTART_ASKED = "RestartAsked"
    TICK = "Tick"
    OVERDUE = "overdue"
    """A tick found the phase's deadline passed."""
    LEAVE = "leave"
    """A tick found that the slot must come down: shutdown, or nobody wants it up.

    Where a row has no such cell the slot is on its way out already.
    """


class Move(StrEnum):
    """What is done about it."""

    IGNORE = "nothing"
    START = "spawn when due"
    FOLLOW = "follow the process"
    SPAWN_FAIL = "back off"
    NOTE_LOADING = "note readiness"
    NOTE_HEALTH = "note health"
    NOTE_PROGRESS = "note progress"
    NOTE_IN_FLIGHT = "note requests"
    CHECK_WARM_UP = "judge the warm-up answer"
    WATCH = "judge suspicions"
    DIE = "account for the death"
    LOAD_OVERDUE = "give up loading"
    WARM_OVERDUE = "give up warming"
    DRAINED = "stop when empty"
    DRAIN_OVERDUE = "move requests, stop"
    STOP_OVERDUE = "kill"
    OVERDUE = "alert once, wait on"
    KILL_OVERDUE = "alert once, kill again"
    ASK_GONE = "look again"
    TREE_GONE = "tree is dead"
    ASK_MEMORY = "look for memory again"
    MEMORY = "judge the memory"
    FORGET = "forget"
    RESTART = "accept a restart"
    RESTART_AGAIN = "stop, start again"
    START_NOW = "start now"
    DENY = "deny"
    LEAVE = "come down"
    ABANDON = "abandon the restart"


@dataclass(frozen=True, slots=True)
class Transition:
    """One cell: the move, and the stations it may lead to besides staying."""

    move: Move
    to: tuple[Station, ...] = ()


class UnknownPairError(Exception):
    """Something happened in a phase in which it cannot happen, or a move went astray."""


VACANT = (Station.BACKOFF, Station.BROKEN, Station.DOWN)
_T, _S = Trigger, Station
_NOTHING = Transition(Move.IGNORE)
_DENY = Transition(Move.DENY)
_DIE = Transition(Move.DIE, (_S.KILLING,))
_READINGS = {
    _T.HEALTH_READ: _NOTHING,
    _T.PROGRESS_READ: _NOTHING,
    _T.IN_FLIGHT_READ: _NOTHING,
    _T.SPAWNED: _NOTHING,
}
_OVER = _READINGS | {
    _T.WARM_UP_DONE: _NOTHING,
    _T.EXITED: _NOTHING,
    _T.TREE_GONE: _NOTHING,
    _T.RESTART_ASKED: _DENY,
}

TABLE: dict[Station, dict[Trigger, Transition]] = {
    _S.SPAWNED: _READINGS
    | {
        _T.SPAWNED: Transition(Move.FOLLOW, (_S.LOADING,)),
        _T.SPAWN_FAILED: Transition(Move.SPAWN_FAIL, VACANT),
        _T.EXITED: _DIE,
        _T.RESTART_ASKED: _DENY,
        _T.TICK: _NOTHING,
        _T.OVERDUE: Transition(Move.OVERDUE),
    },
    _S.LOADING: _READINGS
    | {
        _T.HEALTH_READ: Transition(Move.NOTE_LOADING, (_S.WARMING,)),
        _T.PROGRESS_READ: Transition(Move.NOTE_PROGRESS),
        _T.EXITED: _DIE,
        _T.RESTART_ASKED: Transition(Move.RESTART_AGAIN, (_S.STOPPING,)),
        _T.TICK: Transition(Move.WATCH, (_S.KILLING,)),
        _T.OVERDUE: Transition(Move.LOAD_OVERDUE, (_S.STOPPING,)),
        _T.LEAVE: Transition(Move.LEAVE, (_S.STOPPING,)),
    },
    _S.WARMING: _READINGS
    | {
        _T.PROGRESS_READ: Transition(Move.NOTE_PROGRESS),
        _T.WARM_UP_DONE: Transition(Move.CHECK_WARM_UP, (_S.READY, _S.STOPPING)),
        _T.EXITED: _DIE,
        _T.RESTART_ASKED: Transition(Move.RESTART_AGAIN, (_S.STOPPING,)),
        _T.TICK: Transition(Move.WATCH, (_S.KILLING,)),
        _T.OVERDUE: Transition(Move.WARM_OVERDUE, (_S.STOPPING,)),
        _T.LEAVE: Transition(Move.LEAVE, (_S.STOPPING,)),
    },
    _S.READY: {
        _T.SPAWNED: _NOTHING,
        _T.HEALTH_READ: Transition(Move.NOTE_HEALTH),
        _T.PROGRESS_READ: Transition(Move.NOTE_PROGRESS),
        _T.WARM_UP_DONE: _NOTHING,
        _T.IN_FLIGHT_READ: Transition(Move.NOTE_IN_FLIGHT),
        _T.EXITED: _DIE,
        _T.RESTART_ASKED: Transition(Move.RESTART, (_S.DRAINING,)),
        _T.TICK: Transition(Move.WATCH, (_S.KILLING, _S.DRAINING)),
        _T.LEAVE: Transition(Move.LEAVE, (_S.DRAINING, _S.STOPPING)),
    },
    _S.DRAINING: _READINGS
    | {
        _T.WARM_UP_DONE: _NOTHING,
        _T.IN_FLIGHT_READ: Transition(Move.DRAINED, (_S.STOPPING,)),
        _T.EXITED: _DIE,
        _T.RESTART_ASKED: _DENY,
        _T.TICK: _NOTHING,
        _T.OVERDUE: Transition(Move.DRAIN_OVERDUE, (_S.STOPPING,)),
        _T.LEAVE: Transition(Move.LEAVE, (_S.STOPPING,)),
    },
    _S.STOPPING: _READINGS
    | {
        _T.WARM_UP_DONE: _NOTHING,
        _T.EXITED: _DIE,
        _T.RESTART_ASKED: _DENY,
        _T.TICK: _NOTHING,
        _T.OVERDUE: Transition(Move.STOP_OVERDUE, (_S.KILLING,)),
    },
    _S.KILLING: _OVER
    | {
        _T.EXITED: Transition(Move.DIE, (_S.GONE,)),
        _T.TREE_GONE: Transition(Move.TREE_GONE, (_S.GONE,)),
        _T.TICK: Transition(Move.ASK_GONE),
        _T.OVERDUE: Transition(Move.KILL_OVERDUE),
    },
    _S.GONE: _OVER
    | {
        _T.MEMORY_READ: Transition(Move.MEMORY, (_S.RECLAIMED,)),
        _T.TICK: Transition(Move.ASK_MEMORY),
        _T.OVERDUE: Transition(Move.OVERDUE, (_S.RECLAIMED,)),
    },
    _S.RECLAIMED: _OVER
    | {
        _T.MEMORY_READ: _NOTHING,
        _T.TICK: Transition(Move.FORGET, VACANT),
    },
    _S.BACKOFF: {
        _T.TICK: Transition(Move.START, (_S.SPAWNED,)),
        _T.RESTART_ASKED: Transition(Move.START_NOW),
        _T.LEAVE: Transition(Move.ABANDON),
    },
    _S.BROKEN: {
        _T.TICK: Transition(Move.START, (_S.SPAWNED,)),
        _T.RESTART_ASKED: Transition(Move.START_NOW, (_S.BACKOFF,)),
        _T.LEAVE: Transition(Move.ABANDON),
    },
    _S.DOWN: {
        _T.TICK: _NOTHING,
        _T.RESTART_ASKED: _DENY,
        _T.LEAVE: Transition(Move.ABANDON),
    },
}

_BY_PHASE = {phase: Station(phase.value) for phase in Phase}


def station_of(slot: Slot) -> Station:
    """Where a slot stands; its value is the `state` of wire.md section 6."""
    if slot.generation is not None:
        return _BY_PHASE[slot.generation.phase]
    if slot.broken is not None:
        return Station.BROKEN
    may_start = slot.want is Want.UP or (slot.want is Want.PAUSED and slot.replacement is not None)
    return Station.BACKOFF if may_start else Station.DOWN


def look_up(station: Station, trigger: Trigger) -> Transition | None:
    """The cell of the table, or None: this cannot happen there."""
    return TABLE[station].get(trigger)
