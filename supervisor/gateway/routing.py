"""Which worker a request goes to, and who waits: a table of routes and a queue, without a clock.

The supervisor decides which epochs exist and which are open; the table adds what the data path
itself learns: an epoch that does not answer is left alone for a moment, one that says its queue is
full gets no more than it was running.
"""

import bisect
from dataclasses import dataclass, field

FIRST_PAUSE_SECONDS = 0.1
MAX_PAUSE_SECONDS = 2.0
LIMIT_SECONDS = 5.0
"""How long a learnt limit holds before the worker is asked for more again."""


@dataclass(frozen=True, slots=True)
class Worker:
    """One worker generation as the supervisor names it."""

    name: str
    epoch: str
    generation: int
    socket: str
    open: bool


@dataclass(slots=True, eq=False)
class Route:
    """What the gateway knows about one epoch; times are monotonic seconds."""

    worker: Worker
    listed: bool = True
    in_flight: int = 0
    assigned: int = 0
    paused_until: float = 0.0
    pauses: int = 0
    tried: bool = False
    limit: int | None = None
    limit_until: float = 0.0
    taken_alone: bool = False

    def usable(self, now: float) -> bool:
        """Whether the epoch may get any request now."""
        return self.listed and self.worker.open and now >= self.paused_until

    def has_room(self, now: float) -> bool:
        """Whether a learnt limit allows one more; after a pause a single request tries first."""
        if self.pauses and self.tried:
            return False
        return self.limit is None or now >= self.limit_until or self.in_flight < self.limit

    def pause(self, now: float) -> None:
        """Leave the epoch alone, longer each time; news within a pause is no new failure."""
        if now < self.paused_until:
            return
        self.paused_until = now + min(MAX_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0**self.pauses)
        self.pauses = min(self.pauses + 1, 16)

    def full(self, now: float) -> None:
        """The epoch refused one more: no more than it runs now, for a while.

        To be called after the refused request was released.
        """
        self.limit = max(1, self.in_flight)
        self.limit_until = now + LIMIT_SECONDS
        if self.in_flight == 0:
            self.pause(now)

    def serves(self) -> bool:
        """The epoch answered; True if that was in doubt."""
        doubtful = self.pauses > 0
        self.pauses = 0
        return doubtful


@dataclass(slots=True, eq=False)
class Waiter:
    """One request that wants a worker.

    `order` is its place (older is smaller); epochs in `avoid` are taken only if there is no other.
    """

    order: int
    alone: bool = False
    avoid: frozenset[str] = frozenset()


@dataclass(slots=True)
class RouteTable:
    """All routes and all waiters."""

    _routes: dict[str, Route] = field(default_factory=dict)
    _waiters: list[Waiter] = field(default_factory=list)

    def update(self, workers: list[Worker]) -> list[str]:
        """Make this the desired table; returns the epochs that are no longer listed."""
        desired = {worker.epoch: worker for worker in workers}
        for epoch, worker in desired.items():
            route = self._routes.get(epoch)
            if route is None:
                self._routes[epoch] = Route(worker)
            else:
                route.worker, route.listed = worker, True
        gone = [epoch for epoch, route in self._routes.items() if epoch not in desired]
        for epoch in gone:
            self._routes[epoch].listed = False
            self._forget_if_over(epoch)
        return gone

    def listed(self) -> list[Route]:
        """The routes the supervisor named last."""
        return [route for route in self._routes.values() if route.listed]

    def open_epochs(self) -> set[str]:
        """The epochs the supervisor offers."""
        return {route.worker.epoch for route in self.listed() if route.worker.open}

    def in_flight(self) -> dict[str, int]:
        """Requests running per epoch; one no longer listed stays until its last is gone."""
        return {epoch: route.in_flight for epoch, route in self._routes.items()}

    def any_usable(self, now: float) -> bool:
        """Whether some epoch takes requests now."""
        return any(route.usable(now) for route in self._routes.values())

    @property
    def waiting(self) -> int:
        """Requests that wait."""
        return len(self._waiters)

    def enqueue(self, waiter: Waiter) -> None:
        """Wait, behind the older and before the younger."""
        bisect.insort(self._waiters, waiter, key=lambda other: other.order)

    def withdraw(self, waiter: Waiter) -> None:
        """Wait no longer; nothing happens if it does not wait."""
        if waiter in self._waiters:
            self._waiters.remove(waiter)

    def release(self, route: Route) -> None:
        """A request has left this route."""
        route.in_flight -= 1
        route.taken_alone = False
        route.tried = False
        self._forget_if_over(route.worker.epoch)

    def dispatch(self, now: float) -> list[tuple[Waiter, Route]]:
        """Assign waiters to routes, oldest first; each assignment counts as in flight from here on.

        One that must run alone blocks the least busy route for those behind it until that route is
        empty, and has it for itself then; one route at most is used so, since several requests may
        be suspected of the same deaths.
        """
        assigned: list[tuple[Waiter, Route]] = []
        blocked = next((route for route in self._routes.values() if route.taken_alone), None)
        left: list[Waiter] = []
        for position, waiter in enumerate(self._waiters):
            if waiter.alone and blocked is not None:
                left.append(waiter)
                continue
            route = self._choose(waiter, blocked, now)
            if waiter.alone and route is not None:
                blocked = route
                if route.in_flight:
                    route = None
            if route is not None:
                route.in_flight += 1
                route.assigned += 1
                route.taken_alone = waiter.alone
                route.tried = route.pauses > 0
                assigned.append((waiter, route))
            elif not waiter.alone:
                left.extend(self._waiters[position:])
                break
            else:
                left.append(waiter)
        self._waiters = left
        return assigned

    def next_change(self, now: float) -> float | None:
        """When a pause or a learnt limit ends next, so that waiters must be looked at again."""
        times = [route.paused_until for route in self.listed()]
        times += [route.limit_until for route in self.listed() if route.limit is not None]
        return min((at for at in times if at > now), default=None)

    def _choose(self, waiter: Waiter, blocked: Route | None, now: float) -> Route | None:
        candidates = [
            route
            for route in self._routes.values()
            if route is not blocked and route.usable(now) and (waiter.alone or route.has_room(now))
        ]
        return min(
            candidates,
            key=lambda route: (route.worker.epoch in waiter.avoid, route.in_flight, route.assigned),
            default=None,
        )

    def _forget_if_over(self, epoch: str) -> None:
        route = self._routes.get(epoch)
        if route is not None and not route.listed and route.in_flight == 0:
            del self._routes[epoch]
