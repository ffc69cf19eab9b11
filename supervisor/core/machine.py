"""The lifecycle machine: a state and an event in, the next state and what to do out.

Pure: the same state, event and policy always give the same result. What may happen where is the
table's business (`supervisor.core.table`); the moves live in the modules named after them.
"""

from collections.abc import Sequence
from dataclasses import replace

from supervisor.core import boot, hang, restart, routes, shutdown
from supervisor.core.effects import Effect, Record
from supervisor.core.events import (
    Adopted,
    Booted,
    Event,
    FoundDead,
    Remembered,
    RestartAsked,
    StopAsked,
    Tick,
)
from supervisor.core.model import Kind, Slot, State, Want
from supervisor.core.moves import SlotEvent, perform, perform_vacant
from supervisor.core.policy import Policy
from supervisor.core.table import (
    Move,
    Station,
    Transition,
    Trigger,
    UnknownPairError,
    look_up,
    station_of,
)
from supervisor.core.turn import Turn, in_order, memories

LATE_TICKS_KEPT = 16


def initial(slots: Sequence[tuple[str, Kind]]) -> State:
    """The state before anything is known; the gateway, if any, is the first slot."""
    ordered = sorted(slots, key=lambda slot: slot[1] is not Kind.GATEWAY)
    return State(slots=tuple(Slot(name, kind) for name, kind in ordered))


def step(state: State, event: Event, policy: Policy) -> tuple[State, tuple[Effect, ...]]:
    """The next state, and the effects to perform in this order.

    With `policy.strict` an event that cannot happen where it does raises UnknownPairError; else it
    changes nothing and is returned as `Record(kind="ignored")`, to be counted.
    """
    last = state.last_tick_at
    turn = Turn(state, policy, event.at if last is None else max(event.at, last))
    try:
        _take(turn, event)
    except UnknownPairError as error:
        if policy.strict:
            raise
        return state, (Record("ignored", reason=str(error)),)
    return _conclude(turn, state)


def _take(turn: Turn, event: Event) -> None:
    match event:
        case Tick():
            _tick(turn, event)
        case Remembered() | Adopted() | FoundDead() | Booted():
            boot.take(turn, event)
        case StopAsked():
            shutdown.ask(turn, event)
        case RestartAsked():
            _ask(turn, event)
        case _:
            slot = holder(turn.state, event.epoch)
            if slot is not None:
                _dispatch(turn, slot, Trigger(type(event).__name__), event)


def holder(state: State, epoch: str) -> Slot | None:
    """The slot whose generation has this epoch; None: late news of a dead one, to be dropped."""
    for slot in state.slots:
        if slot.generation is not None and slot.generation.epoch == epoch:
            return slot
    return None


def _conclude(turn: Turn, before: State) -> tuple[State, tuple[Effect, ...]]:
    after = turn.state
    moved = after.slots is not before.slots
    after, told = routes.tell(after, turn.at, turn.policy, again=turn.resend_routes, moved=moved)
    remembered = memories(before, after) if moved or not before.booted else []
    return after, tuple(in_order(turn.effects, remembered, told))


def _ask(turn: Turn, event: RestartAsked) -> None:
    state = turn.state
    slot = next((slot for slot in state.slots if slot.name == event.slot), None)
    if slot is None:
        restart.deny(turn, event, f"there is no {event.slot}")
    elif not state.booted:
        restart.deny(turn, event, "the supervisor is starting")
    elif state.stopping:
        restart.deny(turn, event, "everything is being stopped")
    elif slot.want is Want.DOWN:
        restart.deny(turn, event, f"{slot.name} is down")
    else:
        _dispatch(turn, slot, Trigger.RESTART_ASKED, event)


def lateness_seconds(at: float, last: float | None, policy: Policy) -> float:
    """How long nobody looked before a late tick; 0 for one that is on time."""
    if last is None or at - last <= policy.patience.late_tick_seconds:
        return 0.0
    return at - last


def _tick(turn: Turn, event: Tick) -> None:
    late = lateness_seconds(turn.at, turn.state.last_tick_at, turn.policy)
    if late > 0:
        _discard_round(turn, late)
    turn.state = replace(turn.state, last_tick_at=turn.at)
    if not turn.state.booted:
        return
    for slot in turn.state.slots:
        _advance(turn, slot.name, event)
    if turn.state.stopping:
        shutdown.quit_when_empty(turn)


def _discard_round(turn: Turn, late: float) -> None:
    """We were starved: deadlines move by as much, and what the probes saw is not judged."""
    for slot in turn.state.slots:
        generation = slot.generation
        if generation is not None:
            deadline = None if generation.deadline is None else generation.deadline + late
            turn.put_generation(slot, replace(hang.drop_round(generation), deadline=deadline))
    kept = turn.state.late[-(LATE_TICKS_KEPT - 1) :]
    turn.state = replace(turn.state, late=(*kept, (turn.at, late)))


def _advance(turn: Turn, name: str, event: Tick) -> None:
    """What time alone does to a slot; one that has just become free is looked at again."""
    had_generation = turn.state.slot(name).generation is not None
    _dispatch(turn, turn.state.slot(name), _of_time(turn, turn.state.slot(name)), event)
    if had_generation and turn.state.slot(name).generation is None:
        _dispatch(turn, turn.state.slot(name), _of_time(turn, turn.state.slot(name)), event)


def _of_time(turn: Turn, slot: Slot) -> Trigger:
    generation = slot.generation
    deadline = None if generation is None else generation.deadline
    if deadline is not None and turn.at >= deadline:
        return Trigger.OVERDUE
    if shutdown.must_leave(turn.state, slot) and look_up(station_of(slot), Trigger.LEAVE):
        return Trigger.LEAVE
    return Trigger.TICK


def _dispatch(turn: Turn, slot: Slot, trigger: Trigger, event: SlotEvent) -> None:
    station = station_of(slot)
    transition = look_up(station, trigger)
    if transition is None:
        raise UnknownPairError(f"{trigger.value} for {slot.name}, which is {station.value}")
    if transition.move is Move.IGNORE:
        return
    if slot.generation is None:
        perform_vacant(turn, slot, transition.move, event)
    else:
        perform(turn, slot, slot.generation, transition.move, event)
    if turn.policy.strict:
        _refuse_stray(turn.state.slot(slot.name), station, transition)


def _refuse_stray(slot: Slot, station: Station, transition: Transition) -> None:
    now = station_of(slot)
    if now is not station and now not in transition.to:
        raise UnknownPairError(
            f"{transition.move.value} led {slot.name} from {station.value} to {now.value}"
        )
