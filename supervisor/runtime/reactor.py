"""One queue, one writer: events in, steps of the core, effects out in order.

Nothing else changes the state. What must be durable is awaited before the effects behind it, with a
deadline: a full or hanging disk may delay a decision by two seconds once, and never stop it.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass

from supervisor.core.effects import Effect, Quit, Record, Remember, Spawn
from supervisor.core.events import Event, HealthRead, InFlightRead, ProgressRead, Tick
from supervisor.core.machine import step
from supervisor.core.model import State
from supervisor.core.policy import Policy
from supervisor.runtime import clock
from supervisor.store.journal import Journal

_LOG = logging.getLogger(__name__)
_QUEUE = 10_000
_DURABLE_SECONDS = 2.0
_READINGS = (HealthRead, ProgressRead, InFlightRead)


@dataclass(frozen=True, slots=True)
class Hands:
    """What the reactor calls: the intent of a spawn, everything else, the end of a whole tick."""

    intend: Callable[[Spawn], "Future[bool]"]
    perform: Callable[[Effect], None]
    after_tick: Callable[[State], None]


@dataclass(frozen=True, slots=True)
class Pace:
    """How to decide and how often; replaced as a whole at a reload."""

    policy: Policy
    tick_seconds: float


class Mailbox:
    """Where events wait for the reactor; any task of the loop may post."""

    def __init__(self) -> None:
        self._queue: deque[Event] = deque()
        self._news = asyncio.Event()

    def post(self, event: Event) -> None:
        """Something happened. Readings are dropped when it is full: newer ones will come."""
        if len(self._queue) >= _QUEUE and isinstance(event, _READINGS):
            return
        self._queue.append(event)
        self._news.set()

    def take(self) -> tuple[Event, ...]:
        """All that waits, oldest first."""
        batch = tuple(self._queue)
        self._queue.clear()
        self._news.clear()
        return batch

    async def wait(self, timeout_seconds: float) -> None:
        """Until there is news, or for so long."""
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._news.wait()
        except TimeoutError:
            return


class Reactor:
    """The decision loop."""

    def __init__(
        self, state: State, pace: Pace, journal: Journal, mailbox: Mailbox, hands: Hands
    ) -> None:
        self.state = state
        self.pace = pace
        self.problems = 0
        """Steps that failed: logged, counted, never fatal."""
        self._journal = journal
        self._mailbox = mailbox
        self._hands = hands
        self._unwritten: Future[bool] | None = None
        self._quit = False

    async def run(self) -> None:
        """Decide until the core says Quit."""
        while not self._quit:
            effects: list[Effect] = []
            for event in self._mailbox.take():
                effects += self._step(event) or ()
            ticked = self._step(Tick(clock.now(), clock.entropy()))
            await self._perform([*effects, *(ticked or ())])
            if ticked is not None:
                self._hands.after_tick(self.state)
            if not self._quit:
                await self._mailbox.wait(self.pace.tick_seconds)

    def _step(self, event: Event) -> Iterable[Effect] | None:
        """Its effects; None when the core failed, so that no watchdog is fed for it."""
        try:
            self.state, effects = step(self.state, event, self.pace.policy)
        except Exception:  # noqa: BLE001 - for the reason below
            # A daemon that replays its journal must not crash on the same event again and again.
            self.problems += 1
            _LOG.exception("the core failed at %r", event)
            return None
        return effects

    async def _perform(self, effects: Iterable[Effect]) -> None:
        """Effects in order; what is to be written before an act goes into one transaction, so that
        a crash between two of them cannot leave half of a decision behind.
        """
        unwritten: list[Record | Remember] = []
        for effect in effects:
            if isinstance(effect, Record | Remember):
                if isinstance(effect, Record):
                    _LOG.info("%s %s %s", effect.kind, effect.slot, effect.reason)
                unwritten.append(effect)
                continue
            written = self._journal.write(unwritten) if unwritten else None
            unwritten.clear()
            if isinstance(effect, Spawn):
                written = self._hands.intend(effect)
            if written is not None:
                await self._written(written)
            self._quit = self._quit or isinstance(effect, Quit)
            self._hands.perform(effect)
        if unwritten:
            self._journal.write(unwritten)

    async def _written(self, last: "Future[bool]") -> None:
        """Wait for the newest write (the journal keeps their order), unless the disk is known to
        hang.
        """
        if self._unwritten is not None and not self._unwritten.done():
            return
        self._unwritten = None
        await asyncio.wait([asyncio.wrap_future(last)], timeout=_DURABLE_SECONDS)
        if not last.done():
            _LOG.error("the journal hangs: going on without waiting for it")
            self._unwritten = last
