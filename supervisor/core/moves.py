"""Which function makes which move of the transition table."""

from supervisor.core import ending, hang, restart, shutdown, starting, watching
from supervisor.core.events import (
    Exited,
    HealthRead,
    InFlightRead,
    MemoryRead,
    ProgressRead,
    RestartAsked,
    Spawned,
    SpawnFailed,
    Tick,
    TreeGone,
    WarmUpDone,
)
from supervisor.core.model import Generation, Slot
from supervisor.core.table import Move, UnknownPairError, station_of
from supervisor.core.turn import Turn

SlotEvent = (
    Spawned
    | SpawnFailed
    | HealthRead
    | ProgressRead
    | WarmUpDone
    | Exited
    | TreeGone
    | MemoryRead
    | InFlightRead
    | RestartAsked
    | Tick
)


def perform(turn: Turn, slot: Slot, generation: Generation, move: Move, event: SlotEvent) -> None:
    """Make a move on a slot that has a generation; UnknownPairError if event and move differ."""
    match event:
        case Tick():
            _perform_in_time(turn, slot, generation, move)
        case RestartAsked():
            _perform_asked(turn, slot, generation, move, event)
        case Spawned():
            starting.follow(turn, slot, generation, event)
        case SpawnFailed():
            ending.spawn_failed(turn, slot, generation, event)
        case HealthRead() if move is Move.NOTE_LOADING:
            starting.note_loading(turn, slot, generation, event)
        case HealthRead():
            hang.note_health(turn, slot, generation, event)
        case ProgressRead():
            hang.note_progress(turn, slot, generation, event)
        case WarmUpDone():
            starting.check_warm_up(turn, slot, generation, event)
        case Exited():
            ending.died(turn, slot, generation, event)
        case TreeGone():
            ending.tree_gone(turn, slot, generation)
        case MemoryRead():
            ending.judge_memory(turn, slot, generation, event)
        case InFlightRead() if move is Move.DRAINED:
            restart.drained(turn, slot, generation, event)
        case InFlightRead():
            restart.note_in_flight(turn, slot, generation, event)


def _perform_in_time(turn: Turn, slot: Slot, generation: Generation, move: Move) -> None:
    match move:
        case Move.WATCH:
            watching.watch(turn, slot, generation)
        case Move.LOAD_OVERDUE:
            starting.load_overdue(turn, slot, generation)
        case Move.WARM_OVERDUE:
            starting.warm_overdue(turn, slot, generation)
        case Move.DRAIN_OVERDUE:
            restart.drain_overdue(turn, slot, generation)
        case Move.STOP_OVERDUE:
            ending.stop_overdue(turn, slot, generation)
        case Move.OVERDUE | Move.KILL_OVERDUE:
            ending.overdue(turn, slot, generation)
        case Move.ASK_GONE | Move.ASK_MEMORY:
            ending.ask_again(turn, slot, generation)
        case Move.FORGET:
            ending.forget(turn, slot, generation)
        case Move.LEAVE:
            shutdown.leave(turn, slot, generation)
        case _:
            raise UnknownPairError(f"{move.value} is no move in time")


def _perform_asked(
    turn: Turn, slot: Slot, generation: Generation, move: Move, event: RestartAsked
) -> None:
    match move:
        case Move.RESTART:
            restart.restart(turn, slot, generation, event)
        case Move.RESTART_AGAIN:
            restart.restart_again(turn, slot, generation, event)
        case _:
            restart.deny(turn, event, f"{slot.name} is {station_of(slot).value} already")


def perform_vacant(turn: Turn, slot: Slot, move: Move, event: SlotEvent) -> None:
    """Make a move on a slot without a generation; UnknownPairError if event and move differ."""
    match event:
        case Tick() if move is Move.START:
            starting.start(turn, slot, event)
        case Tick() if move is Move.ABANDON:
            shutdown.abandon_restart(turn, slot)
        case RestartAsked() if move is Move.START_NOW:
            restart.start_now(turn, slot, event)
        case RestartAsked():
            restart.deny(turn, event, f"{slot.name} is {station_of(slot).value}")
        case _:
            raise UnknownPairError(f"{move.value} is no move without a process")
