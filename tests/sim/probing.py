"""What the probes read of the truth: sometimes nothing at all, and then they say so."""

from supervisor.core.events import Event, HealthRead, InFlightRead, Outcome, ProgressRead
from supervisor.core.model import Kind, Phase, State
from tests.sim.truth import Process
from tests.sim.world import World

LIVE = (Phase.LOADING, Phase.WARMING, Phase.READY)


def look(world: World, state: State) -> list[Event]:
    """One round over everything the supervisor follows."""
    found: list[Event] = []
    for slot in state.slots:
        generation = slot.generation
        process = None if generation is None else world.process(generation.epoch)
        if generation is None or process is None:
            continue
        if generation.phase in LIVE:
            found.append(_health(world, process))
            found.append(_progress(world, process))
        desk = world.reachable_desk()
        if desk is not None and generation.phase in (Phase.READY, Phase.DRAINING):
            worker = slot.kind is Kind.WORKER
            count = len(desk.running.get(process.epoch, [])) if worker else desk.load()
            found.append(InFlightRead(world.now, process.epoch, count))
    return found


def _health(world: World, process: Process) -> HealthRead:
    chance = world.random.random()
    status = ""
    if world.now < process.blind_until or chance < 0.02:
        outcome = Outcome.UNKNOWN
    elif not process.alive or process.refusing:
        outcome = Outcome.REFUSED
    elif chance < (0.06 if process.kind is Kind.WORKER else 0.03) or _is_silent(process):
        outcome = Outcome.TIMEOUT
    else:
        outcome, status = Outcome.OK, process.status(world.now)
    return HealthRead(world.now, process.epoch, outcome, status)


def _is_silent(process: Process) -> bool:
    """A hung engine answers HTTP all the same; a hung gateway does not."""
    hung = process.kind is Kind.GATEWAY and process.hung_since is not None
    return hung or process.stopped_since is not None


def _progress(world: World, process: Process) -> ProgressRead:
    at, epoch = world.now, process.epoch
    if not process.alive or at < process.blind_until:
        return ProgressRead(at, epoch, Outcome.UNKNOWN, phase="decode", age_seconds=999.0)
    letter = "T" if process.stopped_since is not None else "S"
    status = process.status(at)
    phase = status if status in ("loading", "warming") else world.random.choice(("idle", "decode"))
    return ProgressRead(at, epoch, Outcome.OK, int(at * 10), phase, 3, process.age(at), letter)
