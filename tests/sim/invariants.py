"""Rules that every step of the core obeys, whatever the world does; ViolationError names one."""

from math import isfinite

from supervisor.core.budget import DAY_SECONDS, HOUR_SECONDS
from supervisor.core.effects import (
    Effect,
    ExpectReady,
    KillTree,
    MoveRequests,
    Quit,
    Record,
    Remember,
    Reply,
    SetRoutes,
    Spawn,
    StopGateway,
    Terminate,
    WarmUp,
)
from supervisor.core.events import (
    Adopted,
    Event,
    FoundDead,
    HealthRead,
    Outcome,
    ProgressRead,
    RestartAsked,
    StopAsked,
    Tick,
    WarmUpDone,
)
from supervisor.core.model import Generation, Kind, Phase, Slot, State
from supervisor.core.policy import Policy
from tests.sim.truth import ViolationError

STEADY = (Phase.READY, Phase.RECLAIMED)
REASONS = frozenset({"decision", "death", "failure", "down", "escalation"})


class Checker:
    """Watches all steps of a run, over every life of the supervisor."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.warmed: set[str] = set()
        self.explained: set[str] = set()
        """Epochs whose end has a reason in the journal."""
        self.told: dict[str, bool] = {}
        self.newest: dict[tuple[str, str], float] = {}
        """When the newest reading of a READY epoch was taken, by probe."""

    def observe(
        self, before: State, event: Event, after: State, effects: tuple[Effect, ...]
    ) -> None:
        """Check one step; ViolationError names the broken rule."""
        if isinstance(event, WarmUpDone) and event.ok:
            self.warmed.add(event.epoch)
        self._replies(event, effects)
        if isinstance(event, HealthRead | ProgressRead):
            self._unknown(before, event, after)
            self._newest(before, event, after)
        if isinstance(event, Tick):
            self._late(before, event, after, effects)
        if not isinstance(event, Adopted | FoundDead):
            self._stale(before, event, after, effects)
        if after.slots is not before.slots:
            self._slots(before, event, after)
        if effects:
            self._effects(before, event, after, effects)

    def restarted(self) -> None:
        """The supervisor died; its successor knows nothing of routes told and readings taken."""
        self.told = {}
        self.newest = {}

    def _replies(self, event: Event, effects: tuple[Effect, ...]) -> None:
        replies = [effect.decision for effect in effects if isinstance(effect, Reply)]
        asked = [event.decision] if isinstance(event, RestartAsked) else []
        _rule(replies == asked, f"every RestartAsked gets exactly one Reply, not {replies}")

    def _unknown(self, before: State, event: HealthRead | ProgressRead, after: State) -> None:
        if event.outcome is not Outcome.UNKNOWN:
            return
        for old, new in zip(before.slots, after.slots, strict=True):
            one, two = old.generation, new.generation
            if one is None or two is None or one is two:
                continue
            same = one.health_failures == two.health_failures and one.suspicion == two.suspicion
            _rule(same and two.silent_since is None, "unknown never counts")

    def _newest(self, before: State, event: HealthRead | ProgressRead, after: State) -> None:
        slot = next((slot for slot in before.slots if _epoch(slot) == event.epoch), None)
        if slot is None or _phase(slot) is not Phase.READY or event.outcome is Outcome.UNKNOWN:
            return
        key = (event.epoch, type(event).__name__)
        if event.at <= self.newest.get(key, -1.0):
            _rule(before.slots == after.slots, "a reading older than the newest changes nothing")
        self.newest[key] = max(event.at, self.newest.get(key, -1.0))

    def _stale(
        self, before: State, event: Event, after: State, effects: tuple[Effect, ...]
    ) -> None:
        epoch = getattr(event, "epoch", None)
        if epoch is None or any(_epoch(slot) == epoch for slot in before.slots):
            return
        done = [effect for effect in effects if not isinstance(effect, ExpectReady)]
        idle = before.slots == after.slots and not done
        _rule(idle, "late news of a dead epoch is dropped")

    def _late(self, before: State, event: Tick, after: State, effects: tuple[Effect, ...]) -> None:
        patience = self.policy.patience
        if before.last_tick_at is None or not before.booted:
            return
        gap = event.at - before.last_tick_at
        if gap <= patience.late_tick_seconds:
            return
        for old, new in zip(before.slots, after.slots, strict=True):
            one, two = old.generation, new.generation
            if one is None or two is None or one.epoch != two.epoch or one.phase is not two.phase:
                continue
            if one.deadline is not None and two.deadline is not None:
                moved = two.deadline - one.deadline
                _rule(moved >= gap - 1e-6, "a late tick moves deadlines")
        judged = [e for e in effects if isinstance(e, Record) and e.kind in ("failure", "decision")]
        _rule(not judged, "nothing is judged at a late tick")

    def _slots(self, before: State, event: Event, after: State) -> None:
        for old, new in zip(before.slots, after.slots, strict=True):
            if old is new:
                continue
            generation = new.generation
            if generation is not None and generation.phase not in STEADY:
                deadline = generation.deadline
                finite = deadline is not None and isfinite(deadline)
                _rule(finite, f"a finite deadline in {generation.phase}")
            self._succession(old, new, event)
            self._one_restart(before, after, old, new, event)
            self._budget(new, event.at)

    def _succession(self, old: Slot, new: Slot, event: Event) -> None:
        before, after = old.generation, new.generation
        if before is None or (after is not None and after.epoch == before.epoch):
            return
        failed_spawn = after is None and before.phase is Phase.SPAWNED
        ended = before.phase is Phase.RECLAIMED or failed_spawn
        _rule(ended, f"{new.name}: left {before.phase.value} for a successor")

    def _one_restart(self, before: State, after: State, old: Slot, new: Slot, event: Event) -> None:
        drains = _phase(new) is Phase.DRAINING and _phase(old) is Phase.READY
        if not drains or new.kind is Kind.GATEWAY or before.stopping or new.replacement is None:
            return
        for other in after.slots:
            if other.name == new.name or other.kind is Kind.GATEWAY or other.replacement is None:
                continue
            waits = other.replacement.phase_name == "decide" and _phase(other) is Phase.READY
            given_up = other.generation is None and other.broken is not None
            _rule(waits or given_up, f"restart of {new.name} while {other.name} is restarted")

    def _budget(self, slot: Slot, at: float) -> None:
        times = slot.watchdog_restarts
        hour = sum(1 for time in times if time > at - HOUR_SECONDS)
        day = sum(1 for time in times if time > at - DAY_SECONDS)
        budget = self.policy.budget
        _rule(hour <= budget.per_hour and day <= budget.per_day, "the budget is never exceeded")

    def _effects(
        self, before: State, event: Event, after: State, effects: tuple[Effect, ...]
    ) -> None:
        remembered: dict[str, Slot] = {}
        for effect in effects:
            match effect:
                case Record():
                    self._explain(effect, event, before)
                case Remember():
                    remembered[effect.slot.name] = effect.slot
                case SetRoutes():
                    self._routes(effect, after)
                case Spawn():
                    kept = remembered.get(effect.slot)
                    durable = kept is not None and _epoch(kept) == effect.epoch
                    _rule(durable, "the intent to spawn is durable first")
                    _rule(not before.stopping, "nothing is spawned while stopping")
                    _rule(before.booted, "nothing is spawned before all leftovers are known")
                case MoveRequests():
                    _rule(not self.told.get(effect.epoch, False), "move only off a closed route")
                case WarmUp():
                    _rule(effect.generation.phase is Phase.WARMING, "warm-up in WARMING")
                case Terminate() | KillTree() | StopGateway():
                    self._destroy(effect.generation)
                case Quit():
                    left = [slot.name for slot in after.slots if slot.generation is not None]
                    _rule(after.stopping and not left, f"quit while {left} live")

    def _explain(self, record: Record, event: Event, state: State) -> None:
        if record.kind in REASONS:
            self.explained.add(record.epoch)
        if record.kind == "stop" and isinstance(event, StopAsked):
            self.explained |= {_epoch(slot) for slot in state.slots}
            self.explained.add("stop")

    def _routes(self, effect: SetRoutes, after: State) -> None:
        names = [route.name for route in effect.routes]
        _rule(len(names) == len(set(names)), "at most one routable generation per slot")
        for route in effect.routes:
            slot = after.slot(route.name)
            if route.open:
                ready = _phase(slot) is Phase.READY and _epoch(slot) == route.epoch
                _rule(ready, f"an open route to {route.name}, which is not ready")
                _rule(route.epoch in self.warmed, "traffic only after a checked warm-up")
        self.told = {route.epoch: route.open for route in effect.routes}

    def _destroy(self, generation: Generation) -> None:
        _rule(generation.identity is not None, "no signal without an identity")
        _rule(not self.told.get(generation.epoch, False), "no signal while the route is open")
        explained = generation.epoch in self.explained or "stop" in self.explained
        _rule(explained, "no destructive act without a durable reason")


def _rule(holds: bool, text: str) -> None:
    if not holds:
        raise ViolationError(text)


def _phase(slot: Slot) -> Phase | None:
    return None if slot.generation is None else slot.generation.phase


def _epoch(slot: Slot) -> str:
    return "" if slot.generation is None else slot.generation.epoch
