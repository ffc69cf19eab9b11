"""What a tick finds in a generation that lives: suspicions, stability, its turn in a restart."""

from dataclasses import replace

from supervisor.core import budget
from supervisor.core.effects import Alert, Record, ReportDeath, Severity
from supervisor.core.ending import kill
from supervisor.core.failing import fail
from supervisor.core.model import Cause, Evidence, Generation, Kind, Phase, Slot, Suspicion, Want
from supervisor.core.restart import take_turn
from supervisor.core.turn import Turn


def watch(turn: Turn, slot: Slot, generation: Generation) -> None:
    """Judge what the probes found; else note that all is well."""
    if generation.suspicion is not None and slot.want is Want.UP:
        _judge(turn, slot, generation, generation.suspicion)
    elif generation.phase is Phase.READY:
        slot = _steady(turn, slot, generation)
        take_turn(turn, slot, generation)


def _judge(turn: Turn, slot: Slot, generation: Generation, suspicion: Suspicion) -> None:
    """End what cannot serve, if the budget allows; before READY the backoff is limit enough."""
    if generation.phase is not Phase.READY:
        return _end(turn, slot, generation, suspicion, "not needed")
    if budget.left(slot, turn.at, turn.policy.budget) > 0:
        slot = turn.put(budget.reserve(slot, turn.at))
        return _end(turn, slot, generation, suspicion, "reserved")
    if turn.at >= budget.overdrawn_at(generation, turn.policy.backoff.max_seconds):
        return _end(turn, slot, generation, suspicion, "spent")
    if not slot.budget_alerted:
        title = f"{slot.name} hangs and its restart budget is spent: {suspicion.reason}"
        evidence = suspicion.evidence
        turn.emit(
            Alert(_key(slot), Severity.CRITICAL, title, slot.name, generation.epoch, evidence)
        )
        turn.put(replace(slot, budget_alerted=True))
    return None


def _end(
    turn: Turn, slot: Slot, generation: Generation, suspicion: Suspicion, spending: str
) -> None:
    """A hang cannot be asked to leave: verdict to the gateway, then the kill."""
    evidence: Evidence = (
        *suspicion.evidence,
        ("phase", generation.phase.value),
        ("counted", suspicion.counted),
        ("budget", spending),
        ("budget_left", budget.left(slot, turn.at, turn.policy.budget)),
    )
    reason = suspicion.reason
    turn.emit(Record("failure", slot.name, generation.epoch, Cause.HANG, reason, evidence))
    slot = fail(turn, slot, Cause.HANG, reason, evidence)
    if slot.kind is Kind.WORKER and generation.ready_at is not None:
        turn.emit(ReportDeath(generation.epoch, suspicion.counted, Cause.HANG))
    kill(turn, slot, replace(generation, end_cause=Cause.HANG))


def _steady(turn: Turn, slot: Slot, generation: Generation) -> Slot:
    """Forgive old crashes after a stable run, and resolve an alert about a refilled budget."""
    since = turn.at if generation.ready_at is None else generation.ready_at
    if slot.crashes_in_row and turn.at - since >= turn.policy.backoff.stable_seconds:
        slot = turn.put(replace(slot, crashes_in_row=0))
    if slot.budget_alerted and budget.left(slot, turn.at, turn.policy.budget) > 0:
        title = f"{slot.name} has restart budget again"
        turn.emit(Alert(_key(slot), Severity.INFO, title, slot.name, resolved=True))
        slot = turn.put(replace(slot, budget_alerted=False))
    return slot


def _key(slot: Slot) -> str:
    return f"budget:{slot.name}"
