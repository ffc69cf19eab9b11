"""Requests as the event loop sees them: submit, listen, cancel.

Bounds: `slots + queue` requests are in the worker at once; of those without a slot only as many
as there are slots are drawn ahead, since a drawn page is 1.5 MB.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from inference.batching.chat import ChatRequest
from inference.batching.loop import News
from inference.batching.prepare import Prepared
from inference.batching.request import Admitted, Event, Failed, Job, Progress
from inference.errors import RequestError


class Sends(Protocol):
    """What the service needs of the engine thread."""

    def submit(self, job: Job) -> None:
        """Hand a job over."""
        ...

    def cancel(self, request_id: str) -> None:
        """Stop computing a request."""
        ...


class Prepares(Protocol):
    """What the service needs of the preparer; called in a thread."""

    def prepare(self, request_id: str, chat: ChatRequest) -> Prepared:
        """A job from a request."""
        ...


class Ticket:
    """A request that has a slot, and the news of it."""

    def __init__(self, prepared: Prepared) -> None:
        self.prepared = prepared
        # Bounded by the answer: one event for each of at most max_new_tokens tokens.
        self.events: asyncio.Queue[Event] = asyncio.Queue()

    async def progress(self) -> AsyncIterator[Progress]:
        """The answer as it grows, to its end. Raises RequestError if it fails."""
        while True:
            event = await self.events.get()
            if isinstance(event, Failed):
                raise event.error
            if isinstance(event, Progress):
                yield event
                if event.finish_reason is not None:
                    return


class Service:
    """All requests of a worker. Belongs to the event loop; only `prepare` runs elsewhere."""

    def __init__(self, engine: Sends, preparer: Prepares, slots: int, queue: int) -> None:
        self._engine = engine
        self._preparer = preparer
        self._limit = slots + queue
        self._drawn_ahead = asyncio.Semaphore(slots)
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="prepare")
        self._tickets: dict[str, Ticket] = {}
        self.in_flight = 0
        """Requests in the worker, running or waiting."""
        self.running = 0
        """Requests that have a slot."""

    async def submit(self, request_id: str, chat: ChatRequest) -> Ticket:
        """Wait for a slot; the caller must `release` the ticket in the end.

        Cancelling the waiting task withdraws the request. Raises RequestError.
        """
        if self.in_flight >= self._limit:
            raise RequestError("queue_full", f"{self.in_flight} requests are in this worker")
        self.in_flight += 1
        try:
            async with self._drawn_ahead:
                return await self._admit(request_id, chat)
        except BaseException:  # cancelled or refused: either way it is no longer here
            self.in_flight -= 1
            raise

    async def _admit(self, request_id: str, chat: ChatRequest) -> Ticket:
        loop = asyncio.get_running_loop()
        prepared = await loop.run_in_executor(
            self._executor, self._preparer.prepare, request_id, chat
        )
        ticket = Ticket(prepared)
        if prepared.ended is not None:
            ticket.events.put_nowait(prepared.ended)
            self.running += 1
            return ticket
        self._tickets[request_id] = ticket
        self._engine.submit(prepared.job)
        try:
            event = await ticket.events.get()
        except asyncio.CancelledError:
            self._forget(request_id)
            raise
        if isinstance(event, Failed):
            del self._tickets[request_id]
            raise event.error
        assert isinstance(event, Admitted)
        self.running += 1
        return ticket

    def release(self, ticket: Ticket) -> None:
        """The answer is complete or no longer wanted; stops its computation if need be."""
        self._forget(ticket.prepared.job.id)
        self.running -= 1
        self.in_flight -= 1

    def _forget(self, request_id: str) -> None:
        if self._tickets.pop(request_id, None) is not None:
            self._engine.cancel(request_id)

    def deliver(self, news: Sequence[News]) -> None:
        """Give the news of a step to those concerned; those who left get none."""
        for request_id, event in news:
            ticket = self._tickets.get(request_id)
            if ticket is not None:
                ticket.events.put_nowait(event)
                if isinstance(event, Progress) and event.finish_reason is not None:
                    del self._tickets[request_id]
