"""Clients: they ask steadily; the gateway holds, routes and finishes their requests."""

from supervisor.core.model import ExitReport
from tests.sim.truth import FrontDesk, Process, ViolationError
from tests.sim.world import GRACE_SECONDS, World


def serve(world: World) -> None:
    """A moment of the gateway's life; call it at least once a second."""
    found = world.desk()
    if found is None:
        return
    process, desk = found
    if not process.works():
        return
    if desk.pending_table is not None:
        desk.tell(desk.pending_table)
        desk.pending_table = None
    if not process.draining and desk.load() < 8 and world.random.random() < 0.7:
        desk.held += 1
    _finish(world, desk)
    _route(world, desk)
    if process.draining and (desk.load() == 0 or world.now >= desk.stop_at):
        world.die(process.epoch, ExitReport(code=0, reported="stopped"))


def _finish(world: World, desk: FrontDesk) -> None:
    for epoch in list(desk.running):
        worker = world.processes[epoch]
        if not worker.alive:
            desk.cut(epoch)
        elif worker.works():
            ends = [end for end in desk.running[epoch] if end > world.now]
            desk.finished += len(desk.running[epoch]) - len(ends)
            desk.running[epoch] = ends


def _route(world: World, desk: FrontDesk) -> None:
    for epoch, is_open in desk.table.items():
        if not is_open:
            continue
        worker = world.processes[epoch]
        _judge(world, worker)
        if worker.alive and desk.held:
            desk.held -= 1
            seconds = world.random.uniform(0.2, 6.0)
            desk.running.setdefault(epoch, []).append(world.now + seconds)


def _judge(world: World, worker: Process) -> None:
    """A route may be wrong only for as long as the news takes."""
    if not worker.verified:
        raise ViolationError(f"requests are routed to {worker.epoch[:8]}, which was never verified")
    since = max(worker.dead_at, world.blind_until)
    if not worker.alive and world.now > since + GRACE_SECONDS:
        raise ViolationError(f"requests are routed to {worker.epoch[:8]}, which is dead")
