"""`GET /v1/models`: a worker's answer, or the last one a worker gave."""

import asyncio
import contextlib

import aiohttp

from supervisor.gateway.deadlines import Patience
from supervisor.gateway.errors import RefusedError, problem
from supervisor.gateway.hub import Hub
from supervisor.gateway.routing import Route
from supervisor.gateway.upstream import connect, read_bounded

ASK_SECONDS = 2.0
"""A worker that takes longer is stopped or dead; the last answer serves as well."""


class Models:
    """Asks a worker each time, and remembers."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._last: bytes | None = None

    async def answer(self) -> bytes:
        """The body; held while no worker has answered yet. RefusedError at the deadline."""
        hub = self._hub
        if self._last is not None and not hub.dispatcher.table.any_usable(hub.clock()):
            return self._last
        hub.check_room()
        seconds = hub.settings.total_seconds if self._last is None else ASK_SECONDS
        patience = Patience(hub.clock() + seconds)
        try:
            async with asyncio.timeout_at(patience.total_at):
                self._last = await self._ask(patience)
        except TimeoutError:
            if self._last is None:
                raise RefusedError(
                    problem("deadline_exceeded", "no worker answered in time")
                ) from None
        return self._last

    async def _ask(self, patience: Patience) -> bytes:
        while True:
            dispatcher = self._hub.dispatcher
            route = await dispatcher.acquire(self._hub.newcomer(), patience)
            body = None
            try:
                body = await _get(route)
            finally:
                if body is not None:
                    dispatcher.serves(route)
                dispatcher.release(route, failed=body is None)
            if body is not None:
                return body


async def _get(route: Route) -> bytes | None:
    with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError):
        async with asyncio.timeout(ASK_SECONDS), connect(route.worker.socket) as session:
            response = await session.get("http://worker/v1/models", allow_redirects=False)
            try:
                body = await read_bounded(response)
                return body if response.status == 200 else None
            finally:
                response.close()
    return None
