"""Everything the gateway knows about one request, from admission to its end."""

from dataclasses import dataclass, field

from supervisor.gateway.answer import Answer
from supervisor.gateway.call import Call
from supervisor.gateway.deadlines import Patience, ServiceTime
from supervisor.gateway.journal import Journal
from supervisor.gateway.outbox import Outbox
from supervisor.gateway.poison import Suspicion
from supervisor.gateway.steps import Tries


@dataclass(slots=True)
class Pace:
    """When the request last moved, and since when it waits because a worker was lost.

    Monotonic seconds.
    """

    moved_at: float
    waiting_since: float | None = None

    def started(self, now: float) -> None:
        """An attempt begins."""
        if self.waiting_since is None:
            self.moved_at = now

    def moved(self, now: float) -> float:
        """Tokens arrived; the seconds of the gap that ends with them, else 0."""
        self.moved_at = now
        if self.waiting_since is None:
            return 0.0
        gap, self.waiting_since = now - self.waiting_since, None
        return gap

    def interrupted(self) -> None:
        """The worker was lost or taken away: the gap began when the request last moved."""
        if self.waiting_since is None:
            self.waiting_since = self.moved_at


@dataclass(slots=True, eq=False)
class Record:
    """One admitted request; `order` is its place in the row of all requests."""

    request_id: str
    order: int
    call: Call
    kept_bytes: int
    patience: Patience
    service: ServiceTime
    tries: Tries
    answer: Answer
    outbox: Outbox
    pace: Pace
    journal: Journal = field(default_factory=Journal)
    suspicion: Suspicion = field(default_factory=Suspicion)
    avoid: set[str] = field(default_factory=set)
    mismatched: set[str] = field(default_factory=set)
