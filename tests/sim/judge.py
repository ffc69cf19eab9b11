"""Whether what the supervisor decided about a process agrees with the truth."""

from supervisor.core.effects import Record, ReportDeath
from supervisor.core.model import Cause, Generation, Slot
from supervisor.core.policy import Policy
from tests.sim.truth import Process, ViolationError
from tests.sim.world import World

ILL_SECONDS = 3.0
"""A verdict may come so long after the process was well again: readings travel."""


class Judge:
    """Compares judgements with the processes themselves; ViolationError on a wrong one."""

    def __init__(self, world: World, policy: Policy) -> None:
        self.world, self.policy = world, policy
        self.hung: dict[str, tuple[float, object]] = {}
        """When the journal says that an epoch hung, and from what budget it was ended."""
        self.spent: dict[str, set[str]] = {}

    def record(self, record: Record) -> None:
        process = self.world.process(record.epoch)
        if process is None:
            return
        if record.kind == "death" and process.alive:
            raise ViolationError(f"{record.epoch[:8]} was declared dead, and lives")
        if record.kind == "failure" and record.cause is Cause.HANG:
            self._ill(process, "hung")
            self.hung[record.epoch] = (self.world.now, dict(record.evidence).get("budget"))
        if record.kind == "failure" and record.cause is Cause.LOAD_TIMEOUT:
            plan = process.plan
            slow = plan.load_seconds > self.policy.deadlines.load_seconds / 2
            unseen = process.blind_until > process.ready_at
            if not slow and not unseen:
                self._ill(process, "slow to load")

    def _ill(self, process: Process, what: str) -> None:
        recent = self.world.now - process.well_since <= ILL_SECONDS
        if process.alive and not process.sick() and not recent:
            raise ViolationError(f"{process.epoch[:8]} was called {what}, and is well")

    def verdict(self, effect: ReportDeath) -> None:
        process = self.world.processes[effect.epoch]
        own = process.by_itself or process.refusing or process.hung_since is not None
        if effect.counted and not own:
            raise ViolationError(f"the death of {effect.epoch[:8]} weighs against its requests")

    def kill(self, generation: Generation, journal: dict[str, Slot]) -> None:
        """A hang is killed only after its budget was reserved in the journal."""
        process = self.world.processes[generation.epoch]
        if generation.end_cause is not Cause.HANG or not process.alive:
            return
        if generation.epoch not in self.hung:
            raise ViolationError(f"killed {generation.epoch[:8]} for no written reason")
        found_at, budget = self.hung[generation.epoch]
        kept = journal[process.slot].watchdog_restarts
        if budget != "reserved":
            return
        self.spent.setdefault(process.slot, set()).add(generation.epoch)
        if len(self.spent[process.slot]) > self.policy.budget.per_hour:
            raise ViolationError(f"{process.slot}: more hangs acted on than the budget allows")
        if not any(at >= found_at for at in kept):
            raise ViolationError("killed a hung worker before its budget was reserved")
