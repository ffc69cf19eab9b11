"""Restarts that somebody asked for: one at a time, drained, and every request gets an answer."""

from dataclasses import replace

from supervisor.core.effects import Alert, Record, Reply, Severity
from supervisor.core.ending import terminate
from supervisor.core.events import InFlightRead, RestartAsked
from supervisor.core.model import Cause, Generation, Kind, Phase, Replacement, Slot, State
from supervisor.core.story import abandon, decided, page
from supervisor.core.turn import Turn, enter, workers

ROLLING = "all:"
"""Prefix of the actor of a restart of all workers: its members wait for one another."""


def under_way(state: State, slot: Slot) -> bool:
    """Whether this slot is being restarted: not merely queued, and not given up as broken."""
    if slot.replacement is None or slot.name in state.queue:
        return False
    return slot.generation is not None or slot.broken is None


def other_under_way(state: State, slot: Slot) -> str | None:
    """Name of another worker that is being restarted, or waits for it."""
    for other in workers(state):
        if other.name != slot.name and (under_way(state, other) or other.name in state.queue):
            return other.name
    return None


def deny(turn: Turn, event: RestartAsked, reason: str) -> None:
    """Answer no, and keep that too: nothing done is a decision."""
    turn.emit(
        Record(
            "denied",
            slot=event.slot,
            cause=event.cause,
            reason=f"{event.reason}: denied, {reason}",
            evidence=(("actor", event.actor),),
            decision=event.decision,
        ),
        Reply(event.decision, accepted=False, reason=reason),
    )


def accept(turn: Turn, slot: Slot, event: RestartAsked, reason: str) -> Slot:
    """Answer yes; an unfinished restart of the slot goes on, else this one begins."""
    generation = slot.generation
    epoch = generation.epoch if generation is not None else None
    asked = Replacement(
        event.decision,
        event.cause,
        event.reason,
        event.actor,
        (),
        epoch,
        turn.at,
        "decide",
        turn.at,
    )
    decided(turn, replace(slot, replacement=asked), epoch or "")
    turn.emit(Reply(event.decision, accepted=True, reason=reason))
    return turn.put(replace(slot, replacement=slot.replacement or asked))


def restart(turn: Turn, slot: Slot, generation: Generation, event: RestartAsked) -> None:
    """Replace a serving worker: hold, drain, stop, and start its successor."""
    if slot.kind is Kind.GATEWAY:
        return deny(turn, event, "only workers are restarted; the gateway holds their clients")
    if slot.replacement is not None:
        return deny(turn, event, f"{slot.name} already waits for its restart")
    busy = other_under_way(turn.state, slot)
    if busy is None:
        begin_drain(turn, accept(turn, slot, event, "restarting"), generation)
    elif event.actor.startswith(ROLLING):
        accept(turn, slot, event, f"after {busy}")
        turn.state = replace(turn.state, queue=(*turn.state.queue, slot.name))
    else:
        deny(turn, event, f"{busy} is being restarted")
    return None


def restart_again(turn: Turn, slot: Slot, generation: Generation, event: RestartAsked) -> None:
    """Stop a worker that is still starting, and start it anew."""
    if slot.kind is Kind.GATEWAY:
        return deny(turn, event, "the gateway is starting")
    if slot.replacement is not None:
        return deny(turn, event, f"{slot.name} is being restarted already")
    busy = other_under_way(turn.state, slot)
    if busy is not None:
        return deny(turn, event, f"{busy} is being restarted")
    slot = accept(turn, slot, event, "starting again")
    terminate(turn, slot, generation, Cause.OPERATOR)
    return None


def start_now(turn: Turn, slot: Slot, event: RestartAsked) -> None:
    """End the backoff, or believe the operator that what was broken is mended."""
    accept(turn, replace(slot, start_at=None, broken=None), event, "starting now")


def begin_drain(turn: Turn, slot: Slot, generation: Generation) -> None:
    """Close the route; what runs may finish, new requests are held."""
    queue = tuple(name for name in turn.state.queue if name != slot.name)
    turn.state = replace(turn.state, queue=queue)
    deadline = turn.at + turn.policy.deadlines.drain_seconds
    draining = enter(generation, Phase.DRAINING, turn.at, deadline)
    turn.put_generation(page(slot, "hold", turn.at), replace(draining, in_flight=None))


def note_in_flight(turn: Turn, slot: Slot, generation: Generation, event: InFlightRead) -> None:
    """Remember how many requests the gateway has on it."""
    if generation.in_flight != event.count:
        turn.put_generation(slot, replace(generation, in_flight=event.count))


def drained(turn: Turn, slot: Slot, generation: Generation, event: InFlightRead) -> None:
    """Stop it when nothing runs on it; a count taken before the route closed proves nothing."""
    if slot.kind is Kind.GATEWAY or event.at <= generation.entered_at:
        return
    slot = turn.put(page(slot, "drain", turn.at))
    draining = replace(generation, in_flight=event.count)
    if event.count == 0:
        terminate(turn, slot, draining, Cause.OPERATOR)
    else:
        turn.put_generation(slot, draining)


def drain_overdue(turn: Turn, slot: Slot, generation: Generation) -> None:
    """What has not finished is moved to the successor by resume."""
    cause = Cause.SHUTDOWN if slot.kind is Kind.GATEWAY else Cause.OPERATOR
    terminate(turn, slot, generation, cause)


def take_turn(turn: Turn, slot: Slot, generation: Generation) -> None:
    """Begin a queued restart when no other worker is being restarted.

    A broken member of the round ends it: what works is not torn down for something unproven.
    """
    if not turn.state.queue or turn.state.queue[0] != slot.name:
        return
    if any(other.broken is not None for other in workers(turn.state)):
        turn.state = replace(turn.state, queue=())
        for waiting in workers(turn.state):
            if waiting.replacement is not None and waiting.replacement.phase_name == "decide":
                turn.put(abandon(turn, waiting))
        title = "the rolling restart was ended: a worker cannot start"
        turn.emit(Alert("rolling", Severity.WARNING, title, slot.name, generation.epoch))
        return
    if not any(under_way(turn.state, other) for other in workers(turn.state)):
        begin_drain(turn, slot, generation)
