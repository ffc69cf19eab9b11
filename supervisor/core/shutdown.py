"""Coming down: the gateway finishes what it has while workers still serve it, then they leave."""

from dataclasses import replace

from supervisor.core.effects import Quit, Record, StopGateway
from supervisor.core.ending import terminate
from supervisor.core.events import StopAsked
from supervisor.core.model import Cause, Generation, Kind, Phase, Slot, State, Want
from supervisor.core.restart import begin_drain
from supervisor.core.story import abandon
from supervisor.core.turn import Turn, gateway

DEAD = frozenset({Phase.GONE, Phase.RECLAIMED})


def ask(turn: Turn, event: StopAsked) -> None:
    """From now on nothing is started; a second request skips the drain."""
    state = turn.state
    skip = state.skip_drain or state.stopping or not event.drain
    evidence = (("drain", not skip),)
    turn.emit(Record("stop", cause=Cause.SHUTDOWN, reason=event.reason, evidence=evidence))
    turn.state = replace(state, stopping=True, skip_drain=skip, stop_reason=event.reason, queue=())


def must_leave(state: State, slot: Slot) -> bool:
    """Whether it is this slot's turn to come down; workers serve until the gateway is gone."""
    if not state.stopping:
        return slot.want is Want.DOWN
    if slot.generation is None:
        return True
    if slot.kind is Kind.GATEWAY or state.skip_drain:
        return True
    front = gateway(state)
    return front is None or not _serves(front)


def _serves(front: Slot) -> bool:
    """Whether the gateway may still need a worker."""
    generation = front.generation
    return generation is not None and generation.exit is None and generation.phase not in DEAD


def leave(turn: Turn, slot: Slot, generation: Generation) -> None:
    """Take the next step down, once per phase."""
    stopping, draining = turn.state.stopping, generation.phase is Phase.DRAINING
    if slot.kind is Kind.GATEWAY and not turn.state.skip_drain and stopping:
        if generation.phase is Phase.READY:
            _stop_gateway(turn, slot, generation)
        elif not draining:
            terminate(turn, slot, generation, Cause.SHUTDOWN)
    elif stopping or generation.phase in (Phase.LOADING, Phase.WARMING):
        cause = Cause.SHUTDOWN if stopping else Cause.OPERATOR
        if not stopping:
            _unwanted(turn, slot, generation)
        terminate(turn, slot, generation, cause)
    elif not draining:
        _unwanted(turn, slot, generation)
        begin_drain(turn, slot, generation)


def _unwanted(turn: Turn, slot: Slot, generation: Generation) -> None:
    turn.emit(
        Record("down", slot.name, generation.epoch, Cause.OPERATOR, f"{slot.name} is wanted down")
    )


def _stop_gateway(turn: Turn, slot: Slot, generation: Generation) -> None:
    deadlines = turn.policy.deadlines
    deadline = turn.at + deadlines.drain_seconds + deadlines.stop_seconds
    draining = replace(generation, phase=Phase.DRAINING, entered_at=turn.at, deadline=deadline)
    draining = replace(draining, end_cause=Cause.SHUTDOWN, suspicion=None)
    turn.put_generation(slot, draining)
    turn.emit(StopGateway(draining, deadlines.drain_seconds))


def abandon_restart(turn: Turn, slot: Slot) -> None:
    """Nothing is started any more: an unfinished restart ends here."""
    if slot.replacement is not None:
        turn.put(abandon(turn, slot))


def quit_when_empty(turn: Turn) -> None:
    """The supervisor may exit once no generation is left."""
    state = turn.state
    if not state.quit_sent and all(slot.generation is None for slot in state.slots):
        turn.state = replace(state, quit_sent=True)
        turn.emit(Quit())
