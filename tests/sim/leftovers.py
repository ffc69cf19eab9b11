"""What a starting supervisor finds: the journal, and the processes that outlived the last one."""

from supervisor.core.events import Adopted, Event, FoundDead, Remembered
from supervisor.core.model import ExitReport, Slot
from tests.sim.truth import Process
from tests.sim.world import World


def leftovers(world: World, slot: Slot) -> list[Event]:
    """A slot's memory, and what became of the generation the journal has as alive."""
    at, generation = world.now, slot.generation
    found: list[Event] = [
        Remembered(
            at,
            slot.name,
            slot.want,
            slot.generations,
            slot.crashes_in_row,
            slot.restarts,
            slot.watchdog_restarts,
            slot.replacement,
            slot.broken,
            slot.start_at,
            slot.failing,
            slot.load_estimate_seconds,
        )
    ]
    if generation is None:
        return found
    process = world.process(generation.epoch)
    if process is not None and process.alive:
        adopted = Adopted(
            at,
            slot.name,
            generation.epoch,
            generation.number,
            process.identity,
            generation.phase,
            generation.ready_at,
            slot.replacement,
            generation.end_cause,
        )
        return [*found, adopted]
    report = generation.exit or known_exit(process)
    dead = FoundDead(
        at,
        slot.name,
        generation.epoch,
        generation.number,
        report,
        generation.ready_at is not None,
        slot.replacement,
        None if process is None else process.identity,
        generation.exit is not None,
        generation.end_cause,
    )
    return [*found, dead]


def known_exit(process: Process | None) -> ExitReport:
    """Nobody reaped it: only what it wrote down itself is known."""
    if process is None or process.exit is None or process.exit.reported is None:
        return ExitReport()
    return process.exit
