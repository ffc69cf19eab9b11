"""How a generation begins: spawned, loading, warming, and READY once an answer was checked."""

from dataclasses import replace

from supervisor.core.effects import Record, Spawn, WarmUp
from supervisor.core.ending import terminate
from supervisor.core.events import HealthRead, Outcome, Spawned, Tick, WarmUpDone
from supervisor.core.failing import fail
from supervisor.core.model import Cause, Evidence, Generation, Kind, Phase, Slot
from supervisor.core.names import epoch_of
from supervisor.core.story import finish, page, recover, warmed
from supervisor.core.turn import Turn, enter


def is_due(slot: Slot, at: float) -> bool:
    """Whether the backoff of a slot without a generation is over."""
    return slot.start_at is None or slot.start_at <= at


def start(turn: Turn, slot: Slot, event: Tick) -> None:
    """Start the next generation, once it is due; its intent is durable before it exists."""
    if not is_due(slot, turn.at):
        return
    generation = Generation(
        epoch=epoch_of(event.entropy, slot.name),
        number=slot.generations + 1,
        phase=Phase.SPAWNED,
        entered_at=turn.at,
        deadline=turn.at + turn.policy.deadlines.load_seconds,
        began_at=turn.at,
    )
    slot = replace(page(slot, "load", turn.at), start_at=None, generations=generation.number)
    turn.put_generation(slot, generation)
    turn.emit(Spawn(slot.name, generation.epoch, generation.number))


def follow(turn: Turn, slot: Slot, generation: Generation, event: Spawned) -> None:
    """The process exists and is identified."""
    deadline = turn.at + turn.policy.deadlines.load_seconds
    loading = enter(generation, Phase.LOADING, turn.at, deadline)
    turn.put_generation(slot, replace(loading, identity=event.identity))


def note_loading(turn: Turn, slot: Slot, generation: Generation, event: HealthRead) -> None:
    """Its own word `ready` is believed only as far as to ask it a real question."""
    if event.outcome is not Outcome.OK:
        return
    if event.status == "warming":
        turn.put(page(slot, "warm", turn.at))
    elif event.status == "ready":
        deadline = turn.at + turn.policy.deadlines.warm_seconds
        warming = enter(generation, Phase.WARMING, turn.at, deadline)
        turn.put_generation(page(warmed(slot, turn.at), "verify", turn.at), warming)
        turn.emit(WarmUp(warming))


def warm_up_passed(event: WarmUpDone) -> bool:
    """Whether the warm-up answer was received and found right."""
    return event.ok


def check_warm_up(turn: Turn, slot: Slot, generation: Generation, event: WarmUpDone) -> None:
    """READY only after a checked answer."""
    if warm_up_passed(event):
        ready(turn, slot, generation)
    else:
        reason = f"the warm-up failed: {event.detail}"
        give_up(turn, slot, generation, Cause.WARM_FAILED, reason)


def ready(turn: Turn, slot: Slot, generation: Generation) -> None:
    """It serves: the route opens, and a restart that led here is over."""
    serving = replace(enter(generation, Phase.READY, turn.at, None), ready_at=turn.at)
    slot = replace(slot, generation=serving, broken=None)
    if generation.began_at is not None:
        slot = replace(slot, load_estimate_seconds=turn.at - generation.began_at)
    if slot.replacement is None:
        evidence: Evidence = (("load_seconds", slot.load_estimate_seconds),)
        turn.emit(Record("started", slot.name, generation.epoch, evidence=evidence))
    slot = recover(turn, finish(turn, slot, generation.epoch))
    turn.put(slot)
    if slot.kind is Kind.GATEWAY:
        turn.resend_routes = True


def load_overdue(turn: Turn, slot: Slot, generation: Generation) -> None:
    """It never said `ready`."""
    seconds = turn.at - generation.entered_at
    reason = f"not ready {seconds:.1f} s after it was started"
    give_up(turn, slot, generation, Cause.LOAD_TIMEOUT, reason)


def warm_overdue(turn: Turn, slot: Slot, generation: Generation) -> None:
    """It never answered the warm-up request."""
    reason = f"no warm-up answer within {turn.at - generation.entered_at:.1f} s"
    give_up(turn, slot, generation, Cause.WARM_FAILED, reason)


def give_up(turn: Turn, slot: Slot, generation: Generation, cause: Cause, reason: str) -> None:
    """End a generation that never served; the next one has to wait."""
    evidence: Evidence = (
        ("phase", generation.phase.value),
        ("engine_phase", generation.engine_phase),
        ("step", generation.last_step),
        ("process_state", generation.process_state),
    )
    turn.emit(Record("failure", slot.name, generation.epoch, cause, reason, evidence))
    slot = fail(turn, slot, cause, reason, evidence)
    terminate(turn, slot, generation, cause)
