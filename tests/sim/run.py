"""One seeded run: faults for a while, then calm, in which everything must be well again."""

from dataclasses import dataclass

from supervisor.core.effects import Record
from supervisor.core.events import RestartAsked, StopAsked
from supervisor.core.model import Cause, ExitReport, Kind, Phase, Want
from supervisor.core.policy import Backoff, Budget, Deadlines, Hang, Patience, Policy
from tests.sim.supervisor import Supervisor
from tests.sim.traffic import serve
from tests.sim.truth import Process, draw_plan
from tests.sim.world import World

POLICY = Policy(
    deadlines=Deadlines(12.0, 5.0, 4.0, 2.0, 3.0, 4.0),
    backoff=Backoff(0.5, 6.0, 3, 0.2, 30.0, 10.0),
    budget=Budget(2, 4),
    hang=Hang(4.0, 12.0, 5.0, 5.0, 4.0, 0.01, 4.0, 0.01, 4.0, 4.0),
    patience=Patience(3.0, 3, 6.0, 3.0, 0.5, 5.0),
    strict=True,
)
CALM_AT = 34.0
RECOVERY_SECONDS = 90.0
SERVE_SECONDS = 0.7


@dataclass(frozen=True, slots=True)
class Result:
    """What a run was worth."""

    seconds: float
    steps: int
    lives: int
    restarts: int
    lost: int
    stopped: bool
    records: tuple[Record, ...]


class Run:
    """A world, a supervisor and a list of faults from one seed."""

    def __init__(self, seed: int) -> None:
        self.world = World(seed)
        random = self.world.random
        names = [f"worker-{index}" for index in range(random.choice((1, 1, 2)))]
        slots = [("gateway", Kind.GATEWAY), *((name, Kind.WORKER) for name in names)]
        self.names = names
        self.supervisor = Supervisor(self.world, slots, POLICY)
        self.stopping = False
        self.asked = 0
        self.settled_since: float | None = None

    def execute(self) -> Result:
        """Run to the end; ViolationError or UnknownPairError if anything is wrong."""
        world, supervisor = self.world, self.supervisor
        world.at(0.0, supervisor.boot)
        world.at(0.1, self._serve)
        random = world.random
        for _ in range(random.randrange(2, 8)):
            world.at(random.uniform(1.0, CALM_AT - 2), self._fault)
        world.at(CALM_AT, self._calm)
        if random.random() < 0.15:
            world.at(random.uniform(2.0, CALM_AT - 1), self._stop)
        while not self._over():
            world.advance()
            if world.now > CALM_AT + RECOVERY_SECONDS:
                raise AssertionError(f"not well again: {self._picture()}")
        self._last_look()
        return Result(
            world.now,
            supervisor.steps,
            supervisor.life,
            sum(slot.restarts for slot in supervisor.state.slots),
            world.lost,
            supervisor.quit,
            tuple(supervisor.records),
        )

    def _serve(self) -> None:
        serve(self.world)
        self.world.after(SERVE_SECONDS, self._serve)

    def _calm(self) -> None:
        self.world.calm = True
        self.world.next_plan = None
        self.world.fail_spawns = 0
        self.supervisor.crash_after = None

    def _over(self) -> bool:
        if self.supervisor.quit:
            return True
        if not self.world.calm or self.stopping or not self._well():
            self.settled_since = None
            return False
        if self.settled_since is None:
            self.settled_since = self.world.now
        return self.world.now - self.settled_since > 3.0

    def _well(self) -> bool:
        supervisor = self.supervisor
        desk = self.world.reachable_desk()
        if not supervisor.alive or desk is None:
            return False
        for slot in supervisor.state.slots:
            generation = slot.generation
            if slot.want is not Want.UP or generation is None or slot.replacement is not None:
                return False
            process = self.world.process(generation.epoch)
            if generation.phase is not Phase.READY or process is None or process.sick():
                return False
            if not process.alive or process.draining:
                return False
            if slot.kind is Kind.WORKER and not desk.table.get(generation.epoch, False):
                return False
        return True

    def _last_look(self) -> None:
        world = self.world
        alive = [process for process in world.processes.values() if process.tree_alive()]
        assert all(count == 1 for count in self.supervisor.replies.values())
        if self.supervisor.quit:
            assert not alive, "quit while processes live"
            assert not world.files, "quit while runtime files are left"
        else:
            assert len(alive) == len(self.supervisor.slots), "exactly one process per slot"

    def _picture(self) -> str:
        lines = [f"now {self.world.now:.1f} stopping {self.stopping}"]
        lines += [repr(slot) for slot in self.supervisor.state.slots]
        lines += [repr(p) for p in self.world.processes.values() if p.tree_alive()]
        return "\n".join(lines)

    # --- faults

    def _victim(self) -> Process | None:
        alive = [process for process in self.world.processes.values() if process.alive]
        workers = [process for process in alive if process.kind is Kind.WORKER]
        random = self.world.random
        pool = workers if random.random() < 0.8 else alive
        return random.choice(pool) if pool else None

    def _fault(self) -> None:
        random = self.world.random
        kinds = (self._death, self._illness, self._restart, self._crash, self._starvation)
        random.choices((*kinds, self._vice), weights=(4, 4, 5, 4, 3, 3))[0]()

    def _death(self) -> None:
        victim, random = self._victim(), self.world.random
        if victim is None:
            return
        reports = (
            (ExitReport(signal=9), False),
            (ExitReport(signal=9), False),
            (ExitReport(signal=15), False),
            (ExitReport(signal=11), True),
            (ExitReport(code=1), True),
            (ExitReport(code=75, reported="lost the device"), True),
            (ExitReport(code=78, reported="bad configuration"), True),
            (ExitReport(code=0, reported="orphaned"), True),
            (ExitReport(signal=9, out_of_memory=True), True),
        )
        report, by_itself = random.choice(reports)
        self.world.die(victim.epoch, report, by_itself=by_itself)

    def _illness(self) -> None:
        victim, world = self._victim(), self.world
        if victim is None:
            return
        random = world.random
        match random.randrange(5):
            case 0 | 1:
                victim.hung_since = world.now
            case 2:
                victim.stopped_since = world.now
                if random.random() < 0.5:
                    world.after(random.uniform(0.5, 8.0), lambda: world.resume(victim))
            case 3:
                victim.refusing = True
            case _:
                victim.blind_until = world.now + 9.0

    def _restart(self) -> None:
        random = self.world.random
        rolling = random.random() < 0.4
        for name in self.names if rolling else [random.choice(self.names)]:
            self.asked += 1
            decision, actor = f"{self.asked:016x}", "all:operator" if rolling else "operator"
            self.world.deliver(
                RestartAsked(
                    self.world.now, name, decision, Cause.OPERATOR, "the drill says so", actor
                )
            )
        if random.random() < 0.35:
            self.world.after(random.uniform(0.1, 8.0), self._crash)

    def _crash(self) -> None:
        supervisor, random = self.supervisor, self.world.random
        if not self._runs() or self.world.calm:
            return
        supervisor.down_seconds = random.choice((0.1, 1.0, 4.0))
        if random.random() < 0.3:
            supervisor.crash()
        else:
            supervisor.crash_after = random.randrange(6)

    def _starvation(self) -> None:
        world, random = self.world, self.world.random
        if not self._runs():
            return
        seconds = random.choice((2.0, 5.0, 9.0, 20.0))
        if random.random() < 0.6:
            world.freeze(seconds)
            self.supervisor.crash_after = None
        self.supervisor.starve(seconds)

    def _runs(self) -> bool:
        """Whether the supervisor is alive and gets processor time, and has done for a while.

        A new one cannot know of a freeze just before it: such a crash would prove nothing.
        """
        thawed = self.supervisor.starved_until + 2.0
        return self.supervisor.alive and self.world.now >= thawed

    def _vice(self) -> None:
        world, random = self.world, self.world.random
        if random.random() < 0.3:
            world.fail_spawns = random.randrange(1, 4)
            return
        plan = draw_plan(random, calm=False)
        victim = self._victim()
        if victim is not None:
            plan.load_seconds, plan.exit_at_boot = victim.plan.load_seconds, None
            victim.plan = plan
            victim.survivors = plan.survivors

    def _stop(self) -> None:
        world, random = self.world, self.world.random
        self.stopping = True
        drain = random.random() < 0.7
        self._ask_stop(drain)
        if random.random() < 0.3:
            world.after(random.uniform(0.1, 4.0), lambda: self._ask_stop(True))
        world.after(30.0, self._insist)

    def _ask_stop(self, drain: bool) -> None:
        self.world.deliver(StopAsked(self.world.now, drain, "the drill ends"))

    def _insist(self) -> None:
        """A supervisor that crashed while stopping came back serving: it is asked again."""
        if not self.supervisor.quit:
            self._ask_stop(True)
            self.world.after(30.0, self._insist)
