"""The story of one restart, phase by phase, as the operator reads it in the journal."""

from dataclasses import replace

from supervisor.core.effects import Alert, Record, Severity
from supervisor.core.model import Evidence, Kind, PhaseTime, Replacement, Slot
from supervisor.core.turn import Turn

MAX_PHASES = 30
"""A story so long gets only new names; else the time goes to the newest phase of that name."""


def turn_page(replacement: Replacement, name: str, at: float) -> Replacement:
    """The restart in its next phase; the phase that ends is measured."""
    if name == replacement.phase_name:
        return replacement
    ended = PhaseTime(replacement.phase_name, max(0.0, at - replacement.phase_began_at))
    return replace(
        replacement,
        phase_name=name,
        phase_began_at=at,
        phases=_appended(replacement.phases, ended),
    )


def _appended(phases: tuple[PhaseTime, ...], ended: PhaseTime) -> tuple[PhaseTime, ...]:
    if len(phases) < MAX_PHASES:
        return (*phases, ended)
    for index in range(len(phases) - 1, -1, -1):
        if phases[index].name == ended.name:
            merged = PhaseTime(ended.name, phases[index].seconds + ended.seconds)
            return (*phases[:index], merged, *phases[index + 1 :])
    return (*phases, ended)


def page(slot: Slot, name: str, at: float) -> Slot:
    """The slot with its restart, if one is under way, in the phase of that name."""
    if slot.replacement is None:
        return slot
    return replace(slot, replacement=turn_page(slot.replacement, name, at))


def warmed(slot: Slot, at: float) -> Slot:
    """The slot whose worker has warmed itself, be it between two looks: `warm` is always told."""
    replacement = slot.replacement
    if replacement is None or replacement.phase_name != "load":
        return slot
    return page(slot, "warm", at)


def route_closed(slot: Slot, at: float) -> Slot:
    """The slot whose serving worker was lost at once: its requests are held from here on."""
    replacement, generation = slot.replacement, slot.generation
    served = slot.kind is Kind.WORKER and generation is not None and generation.ready_at is not None
    if replacement is None or replacement.phase_name != "decide" or not served:
        return slot
    return page(slot, "hold", at)


def decided(turn: Turn, slot: Slot, epoch: str) -> None:
    """Write down that and why a restart was decided."""
    replacement = slot.replacement
    if replacement is None:
        return
    turn.emit(
        Record(
            "decision",
            slot=slot.name,
            epoch=epoch,
            cause=replacement.cause,
            reason=replacement.reason,
            evidence=(*replacement.evidence, ("actor", replacement.actor)),
            decision=replacement.decision,
        )
    )


def finish(turn: Turn, slot: Slot, epoch: str) -> Slot:
    """The restart is over, its successor serves: write the whole story and tell people."""
    replacement = slot.replacement
    if replacement is None:
        return slot
    told = turn_page(turn_page(replacement, "release", turn.at), "", turn.at)
    total = max(0.0, turn.at - replacement.began_at)
    evidence: Evidence = (
        *replacement.evidence,
        ("actor", replacement.actor),
        ("old_epoch", replacement.old_epoch),
        ("total_seconds", round(total, 3)),
    )
    turn.emit(
        Record(
            "restart",
            slot=slot.name,
            epoch=epoch,
            cause=replacement.cause,
            reason=replacement.reason,
            evidence=evidence,
            phases=told.phases,
            decision=replacement.decision,
        ),
        Alert(
            key=f"restart:{slot.name}:{replacement.decision}",
            severity=Severity.INFO,
            title=f"{slot.name} was restarted in {total:.1f} s: {replacement.reason}",
            slot=slot.name,
            epoch=epoch,
            evidence=evidence,
        ),
    )
    return replace(slot, replacement=None, restarts=slot.restarts + 1)


def abandon(turn: Turn, slot: Slot) -> Slot:
    """Everything stops before the restart is over: write down how far it got."""
    replacement = slot.replacement
    if replacement is None:
        return slot
    turn.emit(
        Record(
            "abandoned",
            slot=slot.name,
            epoch=replacement.old_epoch or "",
            cause=replacement.cause,
            reason=replacement.reason,
            evidence=replacement.evidence,
            phases=turn_page(replacement, "", turn.at).phases,
            decision=replacement.decision,
        )
    )
    return replace(slot, replacement=None)


def fail_loudly(turn: Turn, slot: Slot, severity: Severity, title: str, evidence: Evidence) -> Slot:
    """Open (or renew) the slot's failure alert; it is resolved when the slot is READY again."""
    epoch = slot.generation.epoch if slot.generation is not None else ""
    turn.emit(Alert(failure_key(slot), severity, title, slot.name, epoch, evidence))
    return replace(slot, failing=True)


def recover(turn: Turn, slot: Slot) -> Slot:
    """Resolve the slot's failure alert, if one is open."""
    if not slot.failing:
        return slot
    epoch = slot.generation.epoch if slot.generation is not None else ""
    title = f"{slot.name} is ready again"
    turn.emit(Alert(failure_key(slot), Severity.INFO, title, slot.name, epoch, resolved=True))
    return replace(slot, failing=False)


def failure_key(slot: Slot) -> str:
    """Key that groups a slot's failure alert with its resolution."""
    return f"failure:{slot.name}"
