"""Waiting for a worker: the routing table with a clock, and a future for everyone who waits."""

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass

from supervisor.gateway.admission import MAX_RETRY_SECONDS
from supervisor.gateway.counters import Counters
from supervisor.gateway.deadlines import Patience
from supervisor.gateway.errors import RefusedError, problem
from supervisor.gateway.routing import Route, RouteTable, Waiter, Worker


@dataclass(frozen=True, slots=True)
class _Waiting:
    future: asyncio.Future[Route]
    patience: Patience


class Dispatcher:
    """Hands out routes in the order of admission, and looks again at every change."""

    def __init__(self, table: RouteTable, clock: Callable[[], float], counters: Counters) -> None:
        self.table = table
        self._counters = counters
        self._clock = clock
        self._waiting: dict[Waiter, _Waiting] = {}
        self._timer: asyncio.TimerHandle | None = None
        self._ready_at: float | None = None

    async def acquire(self, waiter: Waiter, patience: Patience) -> Route:
        """A route for the waiter; to be given back with `release`.

        RefusedError if no worker is expected before its total time is over, and the client can
        still be told by status.
        """
        future: asyncio.Future[Route] = asyncio.get_running_loop().create_future()
        self._waiting[waiter] = _Waiting(future, patience)
        self.table.enqueue(waiter)
        self.pump()
        if not future.done():
            self._counters.held += not patience.held
            patience.held = True
            self._refuse_hopeless()
        try:
            return await future
        except BaseException:
            # Cancelled while waiting, or between the assignment and this line.
            if future.done() and not future.cancelled() and future.exception() is None:
                self.release(future.result())
            raise
        finally:
            self._waiting.pop(waiter, None)
            self.table.withdraw(waiter)

    def release(self, route: Route, *, failed: bool = False, full: bool = False) -> None:
        """The request has left the route: the worker failed it, was full, or neither."""
        now = self._clock()
        if failed:
            route.pause(now)
        self.table.release(route)
        if full:
            route.full(now)
        self.pump()

    def serves(self, route: Route) -> None:
        """The worker answers: whoever waited for the one that tried it may follow."""
        if route.serves():
            self.pump()

    def share(self, route: Route) -> None:
        """The request that ran alone on this route is cleared: others may join it."""
        route.taken_alone = False
        self.pump()

    def update(self, workers: list[Worker]) -> list[str]:
        """The supervisor's table; returns the epochs no longer in it."""
        before = self.table.open_epochs()
        gone = self.table.update(workers)
        if self.table.open_epochs() - before:
            self._ready_at = None  # what was expected has come
        self.pump()
        return gone

    def expect(self, ready_in_seconds: float | None) -> None:
        """When the supervisor expects a worker to be ready."""
        self._ready_at = None if ready_in_seconds is None else self._clock() + ready_in_seconds
        self._refuse_hopeless()

    def ready_in_seconds(self) -> float | None:
        """Expected seconds until a worker is ready: 0 if one is, None if nobody knows."""
        now = self._clock()
        if self.table.any_usable(now):
            return 0.0
        return None if self._ready_at is None else max(0.0, self._ready_at - now)

    def pump(self) -> None:
        """Assign what can be assigned, and look again when that can next have changed."""
        now = self._clock()
        for waiter, route in self.table.dispatch(now):
            future = self._waiting[waiter].future
            if future.done():  # cancelled, and not yet withdrawn: the place is the next one's
                self.table.release(route)
                asyncio.get_running_loop().call_soon(self.pump)
            else:
                future.set_result(route)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        change = self.table.next_change(now) if self.table.waiting else None
        if change is not None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(change - now + 0.001, self.pump)

    def _refuse_hopeless(self) -> None:
        ready_in = self.ready_in_seconds()
        if not ready_in:
            return
        ready_at = self._clock() + ready_in
        for waiting in self._waiting.values():
            patience, future = waiting.patience, waiting.future
            if ready_at > patience.total_at and not patience.committed and not future.done():
                refusal = problem(
                    "not_ready",
                    f"a worker is expected in {ready_in:.0f} s, after the deadline of the request",
                    retry_after_seconds=min(MAX_RETRY_SECONDS, math.ceil(ready_in)),
                )
                future.set_exception(RefusedError(refusal))
