"""Is it hung, or only busy? Progress decides, never a slow HTTP answer alone.

A probe's finding becomes a `Suspicion`; it is judged at the next tick, and dropped if that tick is
late: a supervisor that was starved itself has no opinion.
"""

from dataclasses import replace

from supervisor.core.events import HealthRead, Outcome, ProgressRead
from supervisor.core.model import Evidence, Generation, Kind, Phase, Slot, Suspicion
from supervisor.core.policy import Hang, Patience
from supervisor.core.turn import Turn

STOPPED = "T"
_BASE = {
    "starting": "loading_seconds",
    "loading": "loading_seconds",
    "warming": "warming_seconds",
    "idle": "idle_seconds",
    "rendering": "rendering_seconds",
    "vision": "vision_seconds",
    "prefill": "prefill_seconds",
    "decode": "decode_seconds",
    "stopping": "stopping_seconds",
}


def deadline_seconds(phase: str, size: int, hang: Hang) -> float:
    """How long one step of this engine phase and size may take.

    `size` is in patches (vision) or tokens (prefill). An unknown phase gets the longest deadline.
    """
    base = float(getattr(hang, _BASE.get(phase, "loading_seconds")))
    if phase == "vision":
        return base + size * hang.vision_seconds_per_patch
    if phase == "prefill":
        return base + size * hang.prefill_seconds_per_token
    return base


def is_evidence(outcome: Outcome) -> bool:
    """Whether a health outcome speaks against the process; unknown and a timeout never do."""
    return outcome in (Outcome.REFUSED, Outcome.FAILED)


def is_answer(outcome: Outcome) -> bool:
    """Whether somebody listened: that ends a run of refusals."""
    return outcome in (Outcome.OK, Outcome.TIMEOUT)


def started_before(reading: ProgressRead, late_at: float) -> bool:
    """Whether the phase of this reading was already going on at a late tick."""
    return reading.at - reading.age_seconds < late_at


def allowance_seconds(reading: ProgressRead, late: tuple[tuple[float, float], ...]) -> float:
    """Seconds by which the supervisor's own lateness extends the deadline of this reading."""
    return sum(seconds for late_at, seconds in late if started_before(reading, late_at))


def is_stale(at: float, newest: float | None, late: tuple[tuple[float, float], ...]) -> bool:
    """Whether a reading is older than the newest one, or belongs to a discarded round."""
    return (newest is not None and at <= newest) or (bool(late) and at <= late[-1][0])


def note_progress(turn: Turn, slot: Slot, generation: Generation, event: ProgressRead) -> None:
    """Remember where the engine is, and suspect it if it has been there too long."""
    stale = is_stale(event.at, generation.progress_at, turn.state.late)
    if stale or event.outcome is not Outcome.OK:
        return None
    generation = replace(generation, progress_at=event.at)
    if slot.kind is Kind.GATEWAY:
        return _note_process_state(turn, slot, generation, event)
    limit = deadline_seconds(event.phase, event.size, turn.policy.hang)
    limit += allowance_seconds(event, turn.state.late)
    found = None
    if event.age_seconds > limit:
        evidence: Evidence = (
            ("engine_phase", event.phase),
            ("size", event.size),
            ("step", event.step),
            ("age_seconds", round(event.age_seconds, 3)),
            ("deadline_seconds", round(limit, 3)),
            ("process_state", event.process_state),
        )
        reason = f"no progress in {event.phase} for {event.age_seconds:.1f} s"
        found = Suspicion("progress", reason, evidence, event.process_state != STOPPED)
    noted = replace(
        generation,
        last_step=event.step,
        engine_phase=event.phase,
        process_state=event.process_state,
        suspicion=_updated(generation.suspicion, "progress", found),
    )
    turn.put_generation(slot, noted)
    return None


def note_health(turn: Turn, slot: Slot, generation: Generation, event: HealthRead) -> None:
    """Count refusals of a READY process, and the gateway's silence."""
    if is_stale(event.at, generation.health_at, turn.state.late):
        return None
    if slot.kind is Kind.GATEWAY and event.outcome is Outcome.TIMEOUT:
        since = generation.silent_since
        since = event.at if since is None else since
        silent = replace(generation, silent_since=since, health_at=event.at)
        return _note_silence(turn, slot, silent, event.at)
    if not is_evidence(event.outcome) and not is_answer(event.outcome):
        # time in which nobody could look is no silence: it begins anew
        if generation.silent_since is not None and generation.process_state != STOPPED:
            turn.put_generation(slot, replace(generation, silent_since=None))
        return None
    failures = generation.health_failures + 1 if is_evidence(event.outcome) else 0
    found = _health_suspicion(event, failures, generation, turn.policy.patience)
    noted = replace(
        generation,
        health_failures=failures,
        health_at=event.at,
        silent_since=None,
        suspicion=_updated(generation.suspicion, "health", found),
    )
    turn.put_generation(slot, noted)
    return None


def _health_suspicion(
    event: HealthRead, failures: int, generation: Generation, patience: Patience
) -> Suspicion | None:
    evidence: Evidence = (
        ("health", event.outcome.value),
        ("failures", failures),
        ("process_state", generation.process_state),
    )
    if event.outcome is Outcome.FAILED:
        return Suspicion("health", "the health answer is not its own", evidence, counted=False)
    if failures < patience.refused_times:
        return None
    counted = generation.process_state != STOPPED
    reason = f"health refused {failures} times while the process is alive"
    return Suspicion("health", reason, evidence, counted)


def _note_process_state(
    turn: Turn, slot: Slot, generation: Generation, event: ProgressRead
) -> None:
    """The gateway has no engine: all its progress tells is whether the process is stopped."""
    since = generation.silent_since
    if event.process_state == STOPPED:
        since = event.at if since is None else since
    elif generation.process_state == STOPPED:
        since = None
    seen = replace(generation, silent_since=since, process_state=event.process_state)
    _note_silence(turn, slot, seen, event.at)


def _note_silence(turn: Turn, slot: Slot, generation: Generation, at: float) -> None:
    """Suspect a gateway that has been silent too long, sooner when it is stopped."""
    patience, since = turn.policy.patience, generation.silent_since
    stopped = generation.process_state == STOPPED
    limit = patience.gateway_stopped_seconds if stopped else patience.gateway_silent_seconds
    found = None
    if since is not None and at - since >= limit:
        evidence: Evidence = (
            ("silent_seconds", round(at - since, 3)),
            ("deadline_seconds", limit),
            ("process_state", generation.process_state),
        )
        reason = f"the gateway has been silent for {at - since:.1f} s"
        found = Suspicion("health", reason, evidence, counted=False)
    suspicion = _updated(generation.suspicion, "health", found)
    turn.put_generation(slot, replace(generation, suspicion=suspicion))


def _updated(old: Suspicion | None, source: str, found: Suspicion | None) -> Suspicion | None:
    """A finding replaces the old one; a good reading clears only what the same probe found."""
    if found is not None:
        return found
    return None if old is not None and old.source == source else old


def drop_round(generation: Generation) -> Generation:
    """The generation without what the probes found before a late tick."""
    if generation.phase not in (Phase.LOADING, Phase.WARMING, Phase.READY):
        return generation
    return replace(generation, suspicion=None, health_failures=0, silent_since=None)
