"""What waits between a request's relay and its client: bounded, and closed exactly once."""

import asyncio

from supervisor.gateway.errors import Problem

ROOM_BYTES = 256 * 1024
"""Above this nothing more is read from the worker until the client has taken some."""


class Outbox:
    """Bytes for one client, and how its answer ends.

    `push` never waits, so that accepting a token and keeping its text are one step; the reader of
    the worker's stream awaits `room` between two reads instead.
    """

    __slots__ = ("_closed", "_pieces", "_problem", "_readable", "_size", "_writable")

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._size = 0
        self._closed = False
        self._problem: Problem | None = None
        self._readable = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()

    def push(self, piece: bytes) -> None:
        """Keep a piece for the client; pieces behind the end are dropped."""
        if not piece or self._closed:
            return
        self._pieces.append(piece)
        self._size += len(piece)
        self._readable.set()
        if self._size > ROOM_BYTES:
            self._writable.clear()

    async def room(self) -> None:
        """Wait until the client has taken enough."""
        await self._writable.wait()

    def close(self, failure: Problem | None) -> None:
        """The answer ends behind what was pushed, well or with a problem; the first end counts."""
        if not self._closed:
            self._closed = True
            self._problem = failure
            self._readable.set()

    @property
    def closed(self) -> bool:
        """Whether the end is known."""
        return self._closed

    @property
    def failure(self) -> Problem | None:
        """The problem the answer ended with."""
        return self._problem

    async def take(self) -> bytes:
        """All that is kept, at least one byte; empty only at the end."""
        await self._readable.wait()
        pieces, self._pieces, self._size = self._pieces, [], 0
        self._writable.set()
        if not self._closed:
            self._readable.clear()
        return b"".join(pieces)
