"""An end nobody asked for: what it costs, and when the next generation may start."""

from dataclasses import replace

from supervisor.core.backoff import delay_seconds
from supervisor.core.effects import Severity
from supervisor.core.model import Cause, Evidence, Replacement, Slot, Want
from supervisor.core.names import decision_of
from supervisor.core.story import decided, fail_loudly
from supervisor.core.turn import Turn

OURS = "supervisor"
"""Actor of the decisions nobody asked for."""


def fail(turn: Turn, slot: Slot, cause: Cause, reason: str, evidence: Evidence) -> Slot:
    """Account for an end nobody asked for: the row of crashes, the backoff, the restart."""
    generation = slot.generation
    if generation is None or turn.state.stopping:
        return slot
    waiting = tuple(name for name in turn.state.queue if name != slot.name)
    turn.state = replace(turn.state, queue=waiting)
    backoff = turn.policy.backoff
    crashes = slot.crashes_in_row + 1
    delay = delay_seconds(crashes, generation.ready_at is not None, generation.epoch, backoff)
    broken = cause if cause is Cause.CONFIGURATION else None
    if broken is not None:
        delay = backoff.broken_retry_seconds
    slot = replace(
        slot,
        crashes_in_row=crashes,
        broken=broken,
        start_at=turn.at + delay if delay > 0 else None,
    )
    evidence = (*evidence, ("crashes_in_row", crashes), ("backoff_seconds", round(delay, 3)))
    slot = _with_restart(turn, slot, cause, reason, evidence)
    if broken is not None:
        title = f"{slot.name} cannot start: {reason}"
        return fail_loudly(turn, slot, Severity.CRITICAL, title, evidence)
    if crashes >= backoff.alert_after:
        title = f"{slot.name} failed {crashes} times in a row: {reason}"
        return fail_loudly(turn, slot, Severity.CRITICAL, title, evidence)
    if cause is Cause.HANG:
        return fail_loudly(turn, slot, Severity.WARNING, f"{slot.name} hangs: {reason}", evidence)
    return slot


def _with_restart(turn: Turn, slot: Slot, cause: Cause, reason: str, evidence: Evidence) -> Slot:
    """The slot with a restart under way; one that already is goes on under its own name."""
    generation = slot.generation
    if generation is None or slot.replacement is not None or slot.want is not Want.UP:
        return slot
    epoch = generation.epoch
    decision = decision_of(epoch, cause.value)
    replacement = Replacement(
        decision, cause, reason, OURS, evidence, epoch, turn.at, "decide", turn.at
    )
    slot = replace(slot, replacement=replacement)
    decided(turn, slot, epoch)
    return slot
