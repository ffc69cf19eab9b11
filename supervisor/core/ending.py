"""How a generation ends: terminated, killed or dead by itself, then gone, then reclaimed."""

from dataclasses import replace

from supervisor.core.causes import BY_US, cause_of, counts
from supervisor.core.effects import (
    CheckGone,
    CheckMemory,
    Forget,
    KillTree,
    MoveRequests,
    Record,
    ReportDeath,
    Severity,
    Terminate,
)
from supervisor.core.events import Exited, MemoryRead, Outcome, SpawnFailed
from supervisor.core.failing import fail
from supervisor.core.model import (
    Cause,
    Evidence,
    ExitReport,
    Generation,
    Kind,
    Phase,
    Slot,
)
from supervisor.core.story import fail_loudly, page, route_closed
from supervisor.core.turn import Turn, enter


def terminate(turn: Turn, slot: Slot, generation: Generation, cause: Cause) -> Slot:
    """End of the drain, or of the patience: move what still runs, then SIGTERM."""
    deadline = turn.at + turn.policy.deadlines.stop_seconds
    ended = enter(generation, Phase.STOPPING, turn.at, deadline)
    ended = replace(ended, end_cause=generation.end_cause or cause, signals_sent=True)
    slot = turn.put_generation(page(slot, "stop", turn.at), ended)
    move_and_signal(turn, slot, ended)
    return slot


def move_and_signal(turn: Turn, slot: Slot, ended: Generation) -> None:
    """The effects of `terminate`; repeated after a crash of the supervisor."""
    if slot.kind is Kind.WORKER and ended.ready_at is not None:
        turn.emit(MoveRequests(ended.epoch))
    if ended.identity is not None:
        turn.emit(Terminate(ended))


def kill(turn: Turn, slot: Slot, generation: Generation) -> Slot:
    """SIGKILL the whole tree of a living generation."""
    deadline = turn.at + turn.policy.deadlines.kill_seconds
    ended = enter(generation, Phase.KILLING, turn.at, deadline)
    ended = replace(ended, signals_sent=True, asked_at=turn.at)
    slot = turn.put_generation(page(route_closed(slot, turn.at), "stop", turn.at), ended)
    kill_and_check(turn, ended)
    return slot


def kill_and_check(turn: Turn, ended: Generation) -> None:
    """The effects of a kill; what was never identified is only looked for, never signalled."""
    if ended.identity is not None:
        turn.emit(KillTree(ended))
    turn.emit(CheckGone(ended))


def stop_overdue(turn: Turn, slot: Slot, generation: Generation) -> None:
    """SIGTERM was not enough."""
    turn.emit(
        Record(
            "escalation",
            slot=slot.name,
            epoch=generation.epoch,
            cause=generation.end_cause,
            reason=f"still alive {turn.at - generation.entered_at:.1f} s after SIGTERM",
        )
    )
    kill(turn, slot, generation)


def died(turn: Turn, slot: Slot, generation: Generation, event: Exited) -> None:
    """The main process is dead: say so, kill the rest of its tree, wait until all is gone."""
    if generation.exit is not None:
        return
    slot = _account(turn, slot, generation, event.exit)
    slot = page(route_closed(slot, turn.at), "gone", turn.at)
    if generation.phase is Phase.KILLING:
        ended = replace(generation, exit=event.exit)
        settle(turn, turn.put_generation(slot, ended), ended)
        return
    deadline = turn.at + turn.policy.deadlines.kill_seconds
    ended = enter(generation, Phase.KILLING, turn.at, deadline)
    ended = replace(ended, exit=event.exit, asked_at=turn.at)
    turn.put_generation(slot, ended)
    kill_and_check(turn, ended)


def _account(turn: Turn, slot: Slot, generation: Generation, report: ExitReport) -> Slot:
    cause = generation.end_cause or cause_of(report)
    reason = f"ended by us: {cause.value}" if cause in BY_US else _how(report)
    evidence = _death_evidence(turn, generation, report)
    turn.emit(Record("death", slot.name, generation.epoch, cause, reason, evidence))
    _tell_verdict(turn, slot, generation, cause)
    if generation.end_cause is not None:
        return slot
    return fail(turn, slot, cause, reason, evidence)


def bury_again(turn: Turn, slot: Slot, generation: Generation) -> None:
    """An earlier supervisor wrote this death down: only verdict and burial are repeated."""
    if generation.exit is None:
        return
    _tell_verdict(turn, slot, generation, generation.end_cause or cause_of(generation.exit))
    ended = replace(generation, asked_at=turn.at)
    turn.put_generation(page(slot, "gone", turn.at), ended)
    kill_and_check(turn, ended)


def _tell_verdict(turn: Turn, slot: Slot, generation: Generation, cause: Cause) -> None:
    if not _owes_verdict(slot, generation):
        return
    counted = (
        _was_counted(slot)
        if cause is Cause.HANG
        else counts(cause, signals_sent=generation.signals_sent)
    )
    turn.emit(ReportDeath(generation.epoch, counted, cause))


def _owes_verdict(slot: Slot, generation: Generation) -> bool:
    """Whether the gateway still waits for the verdict; that of a hang went with the decision."""
    if slot.kind is Kind.GATEWAY or generation.ready_at is None:
        return False
    return generation.end_cause is not Cause.HANG or generation.adopted


def _was_counted(slot: Slot) -> bool:
    """The verdict on a hang found by an earlier supervisor, as its decision has it."""
    return slot.replacement is not None and ("counted", True) in slot.replacement.evidence


def _how(report: ExitReport) -> str:
    if report.out_of_memory:
        return "the kernel killed it for want of memory"
    if report.signal is not None:
        return f"died of signal {report.signal}"
    if report.code is not None:
        return f"exited with code {report.code}" + (f": {report.reported}" * bool(report.reported))
    return report.reported or "gone without a word"


def _death_evidence(turn: Turn, generation: Generation, report: ExitReport) -> Evidence:
    since = generation.entered_at if generation.began_at is None else generation.began_at
    return (
        ("exit_code", report.code),
        ("signal", report.signal),
        ("reported", report.reported),
        ("out_of_memory", report.out_of_memory),
        ("phase", generation.phase.value),
        ("engine_phase", generation.engine_phase),
        ("step", generation.last_step),
        ("process_state", generation.process_state),
        ("in_flight", generation.in_flight),
        ("age_seconds", round(max(0.0, turn.at - since), 3)),
    )


def tree_gone(turn: Turn, slot: Slot, generation: Generation) -> None:
    """Nothing of its tree lives any more."""
    ended = replace(generation, tree_gone=True)
    settle(turn, turn.put_generation(slot, ended), ended)


def is_gone(generation: Generation) -> bool:
    """Whether both the main process and the rest of its tree are known to be dead."""
    return generation.exit is not None and generation.tree_gone


def settle(turn: Turn, slot: Slot, generation: Generation) -> None:
    """Go on to the memory gate once everything is dead."""
    if not is_gone(generation):
        return
    deadline = turn.at + turn.policy.deadlines.reclaim_seconds
    gone = replace(enter(generation, Phase.GONE, turn.at, deadline), asked_at=turn.at)
    turn.put_generation(page(slot, "memory returned", turn.at), gone)
    turn.emit(CheckMemory(gone))


def ask_again(turn: Turn, slot: Slot, generation: Generation) -> None:
    """Look again whether the tree, or the memory, is gone; paced, not at every tick."""
    asked = generation.asked_at
    if asked is not None and turn.at - asked < turn.policy.patience.recheck_seconds:
        return
    asking = replace(generation, asked_at=turn.at)
    turn.put_generation(slot, asking)
    turn.emit(CheckGone(asking) if generation.phase is Phase.KILLING else CheckMemory(asking))


def memory_returned(event: MemoryRead) -> bool:
    """Whether the memory is proved returned; not knowing is no proof."""
    return event.outcome is Outcome.OK


def judge_memory(turn: Turn, slot: Slot, generation: Generation, event: MemoryRead) -> None:
    """Only proved memory lets a successor start."""
    if memory_returned(event):
        turn.put_generation(slot, enter(generation, Phase.RECLAIMED, turn.at, None))


def overdue(turn: Turn, slot: Slot, generation: Generation) -> None:
    """Tell people once and wait on; a kill is repeated, the memory gate is never skipped.

    Except when everything stops: no successor of ours will need that memory.
    """
    deadlines = turn.policy.deadlines
    phase = generation.phase
    if phase is Phase.GONE and turn.state.stopping:
        reason = "its memory was not seen returned before the stop"
        turn.emit(Record("unreturned", slot.name, generation.epoch, reason=reason))
        turn.put_generation(slot, enter(generation, Phase.RECLAIMED, turn.at, None))
        return
    seconds = {
        Phase.KILLING: deadlines.kill_seconds,
        Phase.GONE: deadlines.reclaim_seconds,
    }.get(phase, deadlines.load_seconds)
    if not generation.overdue_alerted:
        title = f"{slot.name} is {phase.value} for more than {seconds:.0f} s"
        slot = fail_loudly(turn, slot, Severity.CRITICAL, title, (("epoch", generation.epoch),))
    waiting = replace(
        generation, deadline=turn.at + seconds, overdue_alerted=True, asked_at=turn.at
    )
    turn.put_generation(slot, waiting)
    if phase is Phase.KILLING:
        kill_and_check(turn, waiting)
    elif phase is Phase.GONE:
        turn.emit(CheckMemory(waiting))


def forget(turn: Turn, slot: Slot, generation: Generation) -> None:
    """The generation is over; its slot is free for a successor."""
    turn.emit(Forget(generation))
    if slot.start_at is not None and slot.start_at > turn.at:
        slot = page(slot, "hold", turn.at)
    turn.put_generation(slot, None)


def spawn_failed(turn: Turn, slot: Slot, generation: Generation, event: SpawnFailed) -> None:
    """There never was a process: no tree to kill and no memory to wait for."""
    reason = f"could not be started: {event.error}"
    evidence: Evidence = (("error", event.error),)
    turn.emit(Record("death", slot.name, generation.epoch, Cause.SPAWN_FAILED, reason, evidence))
    slot = fail(turn, slot, Cause.SPAWN_FAILED, reason, evidence)
    forget(turn, slot, generation)
