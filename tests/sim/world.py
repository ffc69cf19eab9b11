"""The world of one run: virtual time, the truth, and the effects of what the core decides.

News reaches the supervisor late, sometimes twice, in order per child but not across children.
Everything is drawn from one seed.
"""

import heapq
from collections.abc import Callable
from random import Random

from supervisor.core.events import Event
from supervisor.core.model import Cause, ExitReport, Generation, Identity, Kind, Route
from tests.sim.truth import NEVER, FrontDesk, Plan, Process, ViolationError, draw_plan

NEWS_SECONDS = 0.4
"""Longest delay of a piece of news, its repetition excepted."""
GRACE_SECONDS = 3.0
"""How long after it died a process may still be believed alive by a supervisor that runs."""


class World:
    """Processes, gateway, clock. Knows nothing of the core but the values it exchanges."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.now = 0.0
        self.calm = False
        self.has_device = self.random.random() < 0.7
        """Without one there is no memory to wait for: only the dead tree lets a successor start."""
        self.processes: dict[str, Process] = {}
        self.desks: dict[str, FrontDesk] = {}
        self.files: set[str] = set()
        self.lost = 0
        self.next_plan: Plan | None = None
        self.fail_spawns = 0
        self.blind_until = 0.0
        """The supervisor cannot react before: it was dead, starved or restarted."""
        self.planned_ends: dict[str, set[str]] = {}
        self.deliver: Callable[[Event], None] = lambda event: None
        self._agenda: list[tuple[float, int, Callable[[], None]]] = []
        self._order = 0
        self._pids = 100
        self._last_news: dict[str, float] = {}

    # --- time

    def at(self, time: float, act: Callable[[], None]) -> None:
        """Do something at a time."""
        if time < NEVER:
            self._order += 1
            heapq.heappush(self._agenda, (time, self._order, act))

    def after(self, seconds: float, act: Callable[[], None]) -> None:
        self.at(self.now + seconds, act)

    def advance(self) -> None:
        """Go to the next thing on the agenda and do it."""
        self.now, _, act = heapq.heappop(self._agenda)
        act()

    def news(self, epoch: str, make: Callable[[float], Event | None]) -> None:
        """Tell the supervisor, late and in order per child; `make` gets the time of the look."""
        event = make(self.now)
        if event is None:
            return
        deliver = self.deliver
        time = self.now + self.random.random() * NEWS_SECONDS
        time = max(time, self._last_news.get(epoch, 0.0))
        self._last_news[epoch] = time
        self.at(time, lambda: deliver(event))
        if self.random.random() < 0.04:
            self.at(time + self.random.random() * 6.0, lambda: deliver(event))

    # --- looking

    def process(self, epoch: str) -> Process | None:
        return self.processes.get(epoch)

    def desk(self) -> tuple[Process, FrontDesk] | None:
        """The living gateway that has started listening, if there is one."""
        for epoch, desk in self.desks.items():
            process = self.processes[epoch]
            if process.alive and self.now >= process.ready_at:
                return process, desk
        return None

    def reachable_desk(self) -> FrontDesk | None:
        found = self.desk()
        return found[1] if found is not None and found[0].works() else None

    # --- what the supervisor does

    def spawn(self, slot: str, kind: Kind, epoch: str) -> Process | None:
        """A process, or None: it could not be started."""
        self._refuse_second(slot, kind)
        self.files.add(epoch)
        if self.fail_spawns > 0:
            self.fail_spawns -= 1
            return None
        plan = self.next_plan or draw_plan(self.random, calm=self.calm)
        self.next_plan = None
        if kind is Kind.GATEWAY:
            plan.load_seconds = min(plan.load_seconds, 1.0)
        self._pids = 100 + (self._pids + 1) % 50
        identity = Identity("boot", self._pids, int(self.now * 100))
        process = Process(slot, kind, epoch, identity, plan, self.now + plan.load_seconds)
        process.survivors = plan.survivors
        self.processes[epoch] = process
        if kind is Kind.GATEWAY:
            self.desks[epoch] = FrontDesk()
        if plan.exit_at_boot is not None:
            report = plan.exit_at_boot
            self.after(self.random.random() * 2, lambda: self.die(epoch, report, by_itself=True))
        return process

    def _refuse_second(self, slot: str, kind: Kind) -> None:
        for other in self.processes.values():
            gated = self.has_device and kind is Kind.WORKER
            if other.slot == slot and gated and other.holds_memory(self.now):
                raise ViolationError(f"a second worker of {slot} on the GPU of {other.epoch[:8]}")
            if other.slot == slot and other.tree_alive():
                raise ViolationError(f"a second process of {slot} beside {other.epoch[:8]}")

    def tell_routes(self, routes: tuple[Route, ...]) -> None:
        found = self.desk()
        if found is None:
            return
        process, desk = found
        if process.works():
            desk.tell(routes)
        else:
            desk.pending_table = routes

    def move(self, epoch: str) -> None:
        desk = self.reachable_desk()
        if desk is not None:
            desk.cut(epoch)

    def signal(self, generation: Generation) -> Process | None:
        """The process a signal reaches: the identity is verified, as the runtime does."""
        process = self.processes.get(generation.epoch)
        if process is None or generation.identity != process.identity:
            raise ViolationError(f"a signal for {generation.epoch[:8]} meets a foreign process")
        if process.alive:
            self._refuse_blow(process)
        return process

    def _refuse_blow(self, process: Process) -> None:
        desk = self.reachable_desk()
        if desk is None or process.kind is Kind.GATEWAY or desk.pending_table is not None:
            return
        if desk.table.get(process.epoch, False):
            raise ViolationError(f"signalled {process.epoch[:8]} while its route is open")
        if desk.running.get(process.epoch):
            raise ViolationError(f"signalled {process.epoch[:8]} with requests running on it")

    def terminate(self, generation: Generation, decision: str | None) -> None:
        process = self.signal(generation)
        if process is None or not process.alive:
            return
        if generation.end_cause is Cause.OPERATOR and decision is not None:
            ended = self.planned_ends.setdefault(decision, set())
            ended.add(process.epoch)
            if len(ended) > 1:
                raise ViolationError(f"the restart {decision} was repeated")
        self.resume(process)
        if process.hung_since is None:
            report = ExitReport(code=0, reported="stopped")
            self.after(process.plan.stop_seconds, lambda: self.die(process.epoch, report))

    def kill_tree(self, generation: Generation) -> None:
        process = self.signal(generation)
        if process is not None:
            self.after(process.plan.kill_seconds, lambda: self.end_tree(process))

    def stop_gateway(self, generation: Generation, drain_seconds: float) -> None:
        process = self.signal(generation)
        if process is not None and process.works():
            process.draining = True
            self.desks[process.epoch].stop_at = self.now + drain_seconds

    def resume(self, process: Process) -> None:
        """SIGCONT."""
        if process.stopped_since is not None:
            process.stopped_since = None
            process.well_since = self.now

    # --- what happens to processes

    def die(self, epoch: str, report: ExitReport, *, by_itself: bool = False) -> None:
        """The main process ends; forked children may live on."""
        process = self.processes[epoch]
        if not process.alive:
            return
        process.alive = False
        process.exit = report
        process.dead_at = self.now
        process.by_itself = by_itself
        if process.survivors == 0:
            process.tree_dead_at = self.now
        if process.kind is Kind.GATEWAY:
            self.lost += self.desks[epoch].load()
            self.desks[epoch] = FrontDesk()
        self.on_death(process)

    def freeze(self, seconds: float) -> None:
        """The whole machine stands still: nobody is ill, everybody is late."""
        for process in self.processes.values():
            if process.alive:
                process.frozen_at = self.now
                process.beat_at = self.now + seconds + self.random.uniform(0.0, 0.9)
                if process.ready_at > self.now:
                    process.ready_at += seconds

    def end_tree(self, process: Process) -> None:
        """SIGKILL reaches every process of the tree."""
        was = process.tree_alive()
        process.survivors = 0
        if process.alive:
            self.die(process.epoch, ExitReport(signal=9))
        elif was:
            process.tree_dead_at = self.now

    def on_death(self, process: Process) -> None:
        """Hook: the supervisor watches its children."""
