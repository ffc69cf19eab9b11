import asyncio
import json
from collections.abc import Awaitable, Callable

import httpx
import pytest

from supervisor.console.auth import Sessions
from supervisor.console.control import build_control
from supervisor.console.port import RestartAnswer
from tests.unit.console.fake import FakeSupervisor, story

CONSOLE = "http://127.0.0.1:8900"


def with_control(
    scene: Callable[[httpx.AsyncClient, FakeSupervisor, Sessions], Awaitable[None]],
) -> None:
    async def run() -> None:
        supervisor = FakeSupervisor()
        supervisor.rows = story()
        sessions = Sessions(link_seconds=60, session_seconds=60)
        app = build_control(supervisor, sessions, console_url=CONSOLE)
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            await scene(client, supervisor, sessions)

    asyncio.run(run())


def test_status_and_events_are_passed_on() -> None:
    async def scene(client: httpx.AsyncClient, supervisor: FakeSupervisor, _: Sessions) -> None:
        assert (await client.get("/api/v1/status")).json() == supervisor.status()
        answer = await client.get("/api/v1/events?limit=2&after=0")
        rows = [json.loads(line) for line in answer.text.splitlines()]
        assert rows == supervisor.rows[-2:]
        newer = await client.get("/api/v1/events?after=5")
        assert [json.loads(line)["id"] for line in newer.text.splitlines()] == [6]

    with_control(scene)


def test_a_restart_needs_a_reason_and_passes_it_with_the_actor() -> None:
    async def scene(client: httpx.AsyncClient, supervisor: FakeSupervisor, _: Sessions) -> None:
        path = "/api/v1/workers/all/restart"
        assert (await client.post(path, json={"actor": "me"})).status_code == 422
        answer = await client.post(path, json={"reason": "why", "actor": "me"})
        assert (answer.status_code, answer.json()) == (202, {"decision": "6b1f"})
        assert supervisor.calls == [("restart", "all", "why", "me")]
        supervisor.answer = RestartAnswer(False, "", "one is running")
        denied = await client.post(path, json={"reason": "why"})
        assert (denied.status_code, denied.json()) == (409, {"error": "one is running"})

    with_control(scene)


def test_stop_handover_and_login_link() -> None:
    async def scene(
        client: httpx.AsyncClient, supervisor: FakeSupervisor, sessions: Sessions
    ) -> None:
        assert (await client.post("/api/v1/stop", json={"reason": "end"})).status_code == 202
        assert (await client.post("/api/v1/stop", json={"drain": False})).status_code == 202
        assert (await client.post("/api/v1/handover")).status_code == 200
        assert supervisor.calls == [("stop", "end", "True"), ("stop", "", "False"), ("handover",)]
        url = (await client.post("/api/v1/login-link")).json()["url"]
        assert url.startswith(CONSOLE + "/login?once=")
        assert sessions.open(url.partition("once=")[2])

    with_control(scene)


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"{", 422),
        (b"[]", 422),
        (b'{"drain": "yes"}', 422),
        (b'{"reason": 1}', 422),
        (b'{"reason": "' + b"x" * 501 + b'"}', 422),
        (b"[" * 15_000, 422),
        (b" " * 20_000, 413),
        (b"\xff", 422),
    ],
)
def test_bodies_that_make_no_sense_are_refused(content: bytes, status: int) -> None:
    async def scene(client: httpx.AsyncClient, supervisor: FakeSupervisor, _: Sessions) -> None:
        answer = await client.post("/api/v1/stop", content=content)
        assert answer.status_code == status
        assert answer.json()["error"]
        assert supervisor.calls == []

    with_control(scene)


@pytest.mark.parametrize("query", ["limit=x", "limit=-1", "after=1e3", "after=" + "9" * 30])
def test_numbers_that_are_none_are_refused(query: str) -> None:
    async def scene(client: httpx.AsyncClient, _: FakeSupervisor, __: Sessions) -> None:
        assert (await client.get(f"/api/v1/events?{query}")).status_code == 422

    with_control(scene)


def test_only_post_changes_anything() -> None:
    async def scene(client: httpx.AsyncClient, supervisor: FakeSupervisor, _: Sessions) -> None:
        for path in ("stop", "handover", "login-link", "workers/all/restart"):
            assert (await client.get(f"/api/v1/{path}")).status_code == 405
        assert supervisor.calls == []

    with_control(scene)
