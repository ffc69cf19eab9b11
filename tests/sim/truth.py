"""What is really the case: processes with all their vices, and a gateway with its requests."""

from dataclasses import dataclass, field
from random import Random

from supervisor.core.model import ExitReport, Identity, Kind, Route

NEVER = float("inf")


class ViolationError(AssertionError):
    """The world saw what must never be."""


@dataclass(slots=True)
class Plan:
    """How a process will behave, drawn when it is started."""

    load_seconds: float = 2.0
    own_warm_seconds: float = 0.5
    answer_seconds: float = 0.5
    answer_right: bool = True
    stop_seconds: float = 0.3
    """From SIGTERM to its exit; NEVER: it ignores SIGTERM."""
    kill_seconds: float = 0.1
    """From SIGKILL to its death; long: stuck in the kernel."""
    survivors: int = 0
    """Forked children that outlive the main process until they are killed."""
    memory_seconds: float = 0.2
    """From the death of the tree to the return of its memory."""
    exit_at_boot: ExitReport | None = None


def draw_plan(random: Random, *, calm: bool) -> Plan:
    """A normal process, or outside calm times sometimes one with a vice."""
    plan = Plan(load_seconds=random.uniform(0.5, 4.0), answer_seconds=random.uniform(0.1, 1.5))
    if calm or random.random() > 0.35:
        return plan
    match random.randrange(8):
        case 0:
            plan.load_seconds = random.choice((9.0, NEVER))
        case 1:
            plan.answer_right = False
        case 2:
            plan.answer_seconds = NEVER
        case 3:
            plan.stop_seconds = NEVER
        case 4:
            plan.survivors = random.randrange(1, 3)
        case 5:
            plan.memory_seconds = random.choice((1.5, 6.0))
        case 6:
            plan.kill_seconds = random.choice((1.0, 5.0))
        case _:
            code = random.choice((1, 1, 75, 78, 64, 0))
            plan.exit_at_boot = ExitReport(code=code, reported="vice" if code == 78 else None)
    return plan


@dataclass(slots=True)
class Process:
    """One process, its forked children included."""

    slot: str
    kind: Kind
    epoch: str
    identity: Identity
    plan: Plan
    ready_at: float
    alive: bool = True
    survivors: int = 0
    stopped_since: float | None = None
    hung_since: float | None = None
    refusing: bool = False
    well_since: float = -NEVER
    """When it was last cured of being stopped or refusing."""
    beat_at: float = 0.0
    """Machine freeze: it shows its old age until then."""
    frozen_at: float = 0.0
    exit: ExitReport | None = None
    dead_at: float = NEVER
    tree_dead_at: float = NEVER
    by_itself: bool = False
    """It died or hung by its own fault: only such deaths count."""
    verified: bool = False
    """Its warm-up answer was right."""
    draining: bool = False
    blind_until: float = 0.0
    """The probes of it fail until then."""

    def tree_alive(self) -> bool:
        return self.alive or self.survivors > 0

    def holds_memory(self, now: float) -> bool:
        return self.tree_alive() or now < self.tree_dead_at + self.plan.memory_seconds

    def status(self, now: float) -> str:
        if now >= self.ready_at:
            return "draining" if self.draining else "ready"
        return "warming" if now >= self.ready_at - self.plan.own_warm_seconds else "loading"

    def works(self) -> bool:
        return self.alive and self.stopped_since is None and self.hung_since is None

    def sick(self) -> bool:
        return self.stopped_since is not None or self.refusing or self.hung_since is not None

    def age(self, now: float) -> float:
        """How long its engine's phase has been going on, as its progress file says."""
        ill = [at for at in (self.hung_since, self.stopped_since) if at is not None]
        if ill:
            return now - min(ill)
        if now < self.beat_at:
            return now - self.frozen_at
        return 0.2


@dataclass(slots=True)
class FrontDesk:
    """The requests of one gateway process: held, or running on an epoch until some time."""

    table: dict[str, bool] = field(default_factory=dict)
    held: int = 0
    running: dict[str, list[float]] = field(default_factory=dict)
    pending_table: tuple[Route, ...] | None = None
    """Told while it was stopped; the runtime tells it again."""
    finished: int = 0
    moved: int = 0
    stop_at: float = NEVER

    def load(self) -> int:
        return self.held + sum(len(ends) for ends in self.running.values())

    def tell(self, routes: tuple[Route, ...]) -> None:
        self.table = {route.epoch: route.open for route in routes}
        for epoch in [epoch for epoch in self.running if epoch not in self.table]:
            self.cut(epoch)

    def cut(self, epoch: str) -> None:
        """Take back what runs on an epoch: it will be resumed elsewhere."""
        count = len(self.running.pop(epoch, []))
        self.held += count
        self.moved += count
