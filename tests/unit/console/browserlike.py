"""A client that speaks to an ASGI application as a browser on the console's page would."""

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import TypeVar

import httpx

from supervisor.console.app import build_console
from supervisor.console.auth import Sessions
from tests.unit.console.fake import FakeSupervisor

URL = "http://127.0.0.1:8900"
SAME_ORIGIN = {"Origin": URL, "Sec-Fetch-Site": "same-origin"}

_T = TypeVar("_T")


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Site:
    def __init__(self) -> None:
        self.clock = Clock()
        self.supervisor = FakeSupervisor()
        self.sessions = Sessions(link_seconds=60, session_seconds=600, clock=self.clock)
        app = build_console(self.supervisor, self.sessions, host="127.0.0.1", port=8900)
        self.client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=URL)

    async def login(self) -> str:
        """Log in by a fresh link; the CSRF token of the session."""
        once = self.sessions.login_link(URL).partition("once=")[2]
        answer = await self.client.post("/login", data={"once": once}, headers=SAME_ORIGIN)
        assert answer.status_code == 303
        page = await self.client.get("/")
        found = re.search(r'name="csrf" value="([^"]+)"', page.text)
        assert found
        return found[1]


def with_site(story: Callable[[Site], Awaitable[_T]]) -> _T:
    async def run() -> _T:
        site = Site()
        async with site.client:
            return await story(site)

    return asyncio.run(run())
