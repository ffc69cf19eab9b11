"""Start = read the journal, look for what is left, adopt it or bury it; then go on as ever.

`Remembered`, `Adopted` and `FoundDead` only put things in their place; `Booted` acts, so that the
gateway is told the whole table first and no child is touched before all of them are known.
"""

from dataclasses import replace

from supervisor.core.causes import BY_US, cause_of
from supervisor.core.effects import Record
from supervisor.core.ending import bury_again, died, kill_and_check, move_and_signal
from supervisor.core.events import Adopted, Booted, Exited, FoundDead, Remembered
from supervisor.core.model import Cause, Evidence, Generation, Kind, Phase, Replacement, Slot
from supervisor.core.story import finish
from supervisor.core.table import UnknownPairError
from supervisor.core.turn import Turn

BootEvent = Remembered | Adopted | FoundDead | Booted
AGAIN = {
    # a phase the journal has -> the phase in which this supervisor takes it up
    Phase.SPAWNED: Phase.LOADING,
    Phase.WARMING: Phase.LOADING,
    Phase.GONE: Phase.KILLING,
    Phase.RECLAIMED: Phase.KILLING,
}


ENDING = frozenset({Phase.STOPPING, Phase.KILLING})


def take(turn: Turn, event: BootEvent) -> None:
    """One piece of news of the boot; UnknownPairError if it comes after `Booted`."""
    if turn.state.booted:
        raise UnknownPairError(f"{type(event).__name__} after Booted")
    match event:
        case Remembered():
            _remember(turn, turn.state.slot(event.slot), event)
        case Adopted():
            _adopt(turn, turn.state.slot(event.slot), event)
        case FoundDead():
            _bury(turn, turn.state.slot(event.slot), event)
        case Booted():
            _resume(turn, event)


def is_successor(replacement: Replacement, epoch: str) -> bool:
    """Whether this epoch is what the restart started, rather than what it has to end."""
    return replacement.old_epoch != epoch


def _remember(turn: Turn, slot: Slot, event: Remembered) -> None:
    turn.put(
        replace(
            slot,
            want=event.want,
            generations=event.generations,
            crashes_in_row=event.crashes_in_row,
            restarts=event.restarts,
            watchdog_restarts=tuple(t for t in event.watchdog_restarts if t <= turn.at),
            replacement=event.replacement,
            broken=event.broken,
            start_at=event.start_at,
            failing=event.failing,
            load_estimate_seconds=event.load_estimate_seconds,
        )
    )


def _adopt(turn: Turn, slot: Slot, event: Adopted) -> None:
    """Go on where the last supervisor was; a restart it had begun is finished, not repeated."""
    phase = _taken_up(slot, event)
    generation = Generation(
        epoch=event.epoch,
        number=event.number,
        phase=phase,
        entered_at=turn.at,
        deadline=_deadline(turn, phase),
        identity=event.identity,
        adopted=True,
        ready_at=turn.at if phase is Phase.READY and event.ready_at is None else event.ready_at,
        end_cause=_end_of_adopted(phase, event),
        signals_sent=phase in ENDING,
    )
    slot = replace(slot, generation=generation, replacement=event.replacement)
    slot = replace(slot, generations=max(slot.generations, event.number))
    evidence: Evidence = (("pid", event.identity.pid), ("phase", event.phase.value))
    turn.emit(Record("adopted", slot.name, event.epoch, evidence=evidence))
    if phase is Phase.READY and event.replacement is not None:
        if is_successor(event.replacement, event.epoch):
            slot = finish(turn, slot, event.epoch)
        else:
            turn.state = replace(turn.state, queue=(*turn.state.queue, slot.name))
    turn.put(slot)


def _taken_up(slot: Slot, event: Adopted) -> Phase:
    """The phase in which this supervisor takes it up."""
    phase, restart = AGAIN.get(event.phase, event.phase), event.replacement
    if restart is None:
        undrained = phase is Phase.DRAINING and slot.kind is Kind.WORKER
        return Phase.READY if undrained else phase
    if phase is Phase.LOADING and not is_successor(restart, event.epoch):
        return Phase.STOPPING
    return phase


def _end_of_adopted(phase: Phase, event: Adopted) -> Cause | None:
    """Why it is being ended; whoever was ended for no restart was ended with everything."""
    if event.end_cause is not None or phase not in ENDING:
        return event.end_cause
    restart = event.replacement
    if restart is None or is_successor(restart, event.epoch):
        return Cause.SHUTDOWN
    return restart.cause


def _end_of_dead(event: FoundDead) -> Cause | None:
    """Why it ended, if that is accounted for already; None: a death nobody knows of yet."""
    if event.end_cause is not None:
        return event.end_cause
    restart = event.replacement
    ours = restart is not None and not is_successor(restart, event.epoch)
    if restart is not None and ours and restart.cause in BY_US:
        return restart.cause
    return cause_of(event.exit) if event.accounted or ours else None


def _deadline(turn: Turn, phase: Phase) -> float | None:
    deadlines = turn.policy.deadlines
    seconds = {
        Phase.LOADING: deadlines.load_seconds,
        Phase.DRAINING: deadlines.drain_seconds,
        Phase.STOPPING: deadlines.stop_seconds,
        Phase.KILLING: deadlines.kill_seconds,
    }.get(phase)
    return None if seconds is None else turn.at + seconds


def _bury(turn: Turn, slot: Slot, event: FoundDead) -> None:
    """Keep how it ended until `Booted`.

    Whom an unfinished restart was ending died by our hand; a crash that the last supervisor had
    answered with a restart is not counted twice.
    """
    end_cause = _end_of_dead(event)
    ended_by_us = end_cause in BY_US
    generation = Generation(
        epoch=event.epoch,
        number=event.number,
        phase=_phase_of_dead(event, ended_by_us=ended_by_us),
        entered_at=turn.at,
        deadline=turn.at + turn.policy.deadlines.kill_seconds,
        identity=event.identity,
        adopted=True,
        ready_at=turn.at if event.was_ready else None,
        exit=event.exit,
        end_cause=end_cause,
        signals_sent=ended_by_us,
    )
    slot = replace(slot, generation=generation, replacement=event.replacement)
    turn.put(replace(slot, generations=max(slot.generations, event.number)))


def _phase_of_dead(event: FoundDead, *, ended_by_us: bool) -> Phase:
    if event.accounted:
        return Phase.KILLING
    return Phase.STOPPING if ended_by_us else Phase.LOADING


def _resume(turn: Turn, event: Booted) -> None:
    """All leftovers are known: repeat the unfinished acts, and bury the dead."""
    turn.state = replace(turn.state, booted=True, term=event.term)
    turn.resend_routes = True
    turn.emit(Record("boot", evidence=(("term", event.term),)))
    for slot in turn.state.slots:
        generation = slot.generation
        if generation is None:
            continue
        if generation.exit is not None and generation.phase is Phase.KILLING:
            bury_again(turn, slot, generation)
        elif generation.exit is not None:
            news = Exited(event.at, generation.epoch, generation.exit)
            died(turn, slot, replace(generation, exit=None), news)
        elif generation.phase is Phase.STOPPING:
            move_and_signal(turn, slot, generation)
        elif generation.phase is Phase.KILLING:
            kill_and_check(turn, generation)
