"""How many restarts of a serving generation the watchdog may order by itself.

Reserved before acting, refilled by time alone. Once it is spent the watchdog fails open: people are
paged and the generation keeps its traffic. But what hangs serves nobody, so even then it is
replaced, no sooner than the largest backoff after it became READY: a wrong verdict costs at most
one restart per such period, a right one never leaves the service dead.
"""

from dataclasses import replace

from supervisor.core.model import Generation, Slot
from supervisor.core.policy import Budget

HOUR_SECONDS = 3600.0
DAY_SECONDS = 86400.0


def left(slot: Slot, at: float, budget: Budget) -> int:
    """Restarts the watchdog may still order now."""
    hour = sum(1 for time in slot.watchdog_restarts if time > at - HOUR_SECONDS)
    day = sum(1 for time in slot.watchdog_restarts if time > at - DAY_SECONDS)
    return max(0, min(budget.per_hour - hour, budget.per_day - day))


def reserve(slot: Slot, at: float) -> Slot:
    """The slot with one restart taken from its budget, before anything is done."""
    recent = tuple(time for time in slot.watchdog_restarts if time > at - DAY_SECONDS)
    return replace(slot, watchdog_restarts=(*recent, at))


def overdrawn_at(generation: Generation, max_seconds: float) -> float:
    """When a hung generation may be replaced although the budget is spent."""
    since = generation.entered_at if generation.ready_at is None else generation.ready_at
    return since + max_seconds
