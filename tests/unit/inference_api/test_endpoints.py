"""The application over ASGI with an engine that is played by the test."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from inference.api.app import build_app
from inference.api.worker import Fence, Ready, Status, Worker
from inference.batching.loop import EngineThread, Settings
from inference.batching.progress import ProgressFile
from inference.batching.request import Admitted, Failed, Progress
from inference.config import InferenceConfig
from inference.errors import RequestError
from tests.exposition import parse
from tests.unit.inference_batching.fakes import FakeEngine, FakeOffice
from tests.unit.inference_batching.test_service import Bench

URL = "/v1/chat/completions"
REQUEST = {"messages": [{"role": "user", "content": "hi"}]}
FAILURE = Failed(RequestError("engine_error", "it broke"))


class App:
    """A ready worker without a process; `play` tells its engine's news of the next request."""

    def __init__(self) -> None:
        self.bench = Bench()
        progress = ProgressFile(None, "0" * 32)
        engine = FakeEngine()
        thread = EngineThread(lambda: engine, FakeOffice(), progress, Settings(1, 1))
        self.worker = Worker(InferenceConfig(), "e" * 32, progress, thread)
        self.worker.ready = Ready(engine.facts, self.bench.service)
        self.worker.stage = Status.READY
        self.sent: list[MutableMapping[str, Any]] = []
        self.gone = asyncio.Event()

    async def play(self, *events: Admitted | Progress | Failed) -> None:
        while not self.bench.engine.jobs:
            await asyncio.sleep(0.001)
        name = self.bench.engine.jobs[-1]
        self.bench.service.deliver([(name, event) for event in events])

    async def post(self, body: object, *headers: tuple[bytes, bytes]) -> None:
        """One raw ASGI exchange; what was sent is in `sent`."""
        messages = [{"type": "http.request", "body": json.dumps(body).encode()}]

        async def receive() -> dict[str, Any]:
            if messages:
                return messages.pop()
            await self.gone.wait()
            return {"type": "http.disconnect"}

        async def send(message: MutableMapping[str, Any]) -> None:
            self.sent.append(message)

        scope = {
            "type": "http",
            "method": "POST",
            "path": URL,
            "headers": list(headers),
            "query_string": b"",
        }
        await build_app(self.worker)(scope, receive, send)

    def client(self) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(build_app(self.worker))
        return httpx.AsyncClient(transport=transport, base_url="http://worker")


def run(scenario: Callable[[App], Awaitable[None]]) -> None:
    async def main() -> None:
        await asyncio.wait_for(scenario(App()), 30)

    asyncio.run(main())


@pytest.mark.parametrize("journal", [False, True])
def test_a_failure_in_a_stream_is_told_and_the_body_left_unfinished(journal: bool) -> None:
    async def scenario(app: App) -> None:
        headers = [(b"glyph-journal", b"1")] if journal else []
        body = {**REQUEST, "stream": True}
        begun = asyncio.create_task(app.post(body, *headers))
        await app.play(Admitted(), Progress(0, (5,), "x", 1), FAILURE)
        await begun
        bodies = [message for message in app.sent if message["type"] == "http.response.body"]
        assert all(message["more_body"] for message in bodies)
        last = json.loads(bodies[-1]["body"].removeprefix(b"data: "))
        assert last["error"]["code"] == "engine_error"
        assert last["error"]["message"] == "it broke"
        assert b"[DONE]" not in b"".join(m["body"] for m in bodies)
        assert app.worker.in_flight == 0

    run(scenario)


def test_a_failure_of_a_plain_request_is_a_problem() -> None:
    async def scenario(app: App) -> None:
        begun = asyncio.create_task(app.post(REQUEST))
        await app.play(Admitted(), Progress(0, (5,), "x", 1), FAILURE)
        await begun
        assert app.sent[0]["status"] == 500
        assert json.loads(app.sent[1]["body"])["code"] == "engine_error"

    run(scenario)


@pytest.mark.parametrize("admitted", [False, True])
@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_leaves_cancels(admitted: bool, stream: bool) -> None:
    async def scenario(app: App) -> None:
        begun = asyncio.create_task(app.post({**REQUEST, "stream": stream}))
        await app.play(*[Admitted()] * admitted)
        await asyncio.sleep(0)
        app.gone.set()
        await begun
        assert app.bench.engine.cancelled == app.bench.engine.jobs
        assert app.worker.in_flight == 0

    run(scenario)


def test_a_mistake_of_ours_is_500_and_a_problem(caplog: pytest.LogCaptureFixture) -> None:
    async def scenario(app: App) -> None:
        app.bench.preparer.error = KeyError("a bug")
        transport = httpx.ASGITransport(build_app(app.worker), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://w") as client:
            response = await client.post(URL, json=REQUEST)
        assert (response.status_code, response.json()["code"]) == (500, "engine_error")
        assert "a bug" not in response.text
        assert app.worker.in_flight == 0

    run(scenario)
    assert "a bug" in caplog.text


def test_draining_may_be_said_while_loading() -> None:
    async def scenario(app: App) -> None:
        app.worker.stage = Status.LOADING
        async with app.client() as client:
            assert (await client.post("/control/drain")).status_code == 202
            assert (await client.get("/health")).json()["status"] == "loading"
            app.worker.stage = Status.READY
            assert (await client.get("/health")).json()["status"] == "draining"
            assert (await client.post(URL, json=REQUEST)).json()["code"] == "draining"
            await client.post("/control/undrain")
            assert (await client.get("/health")).json()["status"] == "ready"

    run(scenario)


def test_only_a_living_supervisors_word_counts() -> None:
    fence = Fence()
    fence.heard_at = 0.0
    assert fence.hear(3)
    heard = fence.heard_at
    assert heard > 0
    assert not fence.hear(2)
    assert (fence.highest, fence.heard_at) == (3, heard)
    assert fence.hear(3)
    assert fence.hear(4)


def test_the_end_is_recorded(tmp_path: Path) -> None:
    code = (
        "from pathlib import Path; from inference.server import Ending;"
        f"Ending('e' * 32, Path({str(tmp_path / 'w.sock')!r})).end(75, 'CUDA is gone')"
    )
    (tmp_path / "w.sock").touch()
    assert (
        subprocess.run([sys.executable, "-c", code], check=False, cwd=Path.cwd()).returncode == 75
    )
    record = json.loads((tmp_path / "w.sock.exit.json").read_text())
    assert (record["epoch"], record["code"], record["reason"]) == ("e" * 32, 75, "CUDA is gone")
    assert [path.name for path in tmp_path.iterdir()] == ["w.sock.exit.json"]


def test_metrics_are_there_before_the_model_and_tell_how_requests_ended() -> None:
    async def scenario(app: App) -> None:
        ready, app.worker.ready = app.worker.ready, None
        app.worker.stage = Status.LOADING
        async with app.client() as client:
            assert parse((await client.get("/metrics")).text)["glyph_slots_busy"] == 0
            assert (await client.post(URL, json=REQUEST)).status_code == 503
            app.worker.ready, app.worker.stage = ready, Status.READY
            begun = asyncio.create_task(app.post({**REQUEST, "stream": True}))
            await app.play(Admitted(), FAILURE)
            await begun
            assert (await client.post("/infer", json={"text": 1})).status_code == 422
            found = parse((await client.get("/metrics")).text)
        outcomes = {name: found[name] for name in found if name.startswith("glyph_requests_total")}
        codes = ("engine_error", "invalid_request", "loading")
        assert outcomes == {f'glyph_requests_total{{outcome="{code}"}}': 1 for code in codes}
        assert found["glyph_slots"] == app.worker.config.active_slots

    run(scenario)


@pytest.mark.parametrize("journal", [False, True])
def test_an_article_is_answered_in_its_own_shape(journal: bool) -> None:
    async def scenario(app: App) -> None:
        headers = {"Glyph-Journal": "1"} if journal else {}
        async with app.client() as client:
            asked = client.post("/infer", json={"text": "hi"}, headers=headers)
            begun = asyncio.create_task(asked)
            await app.play(Admitted(), Progress(0, (5,), "x", 1), Progress(1, (6,), "y", 2, "stop"))
            assert (await begun).json() == {"result": "xy"}
            failing = asyncio.create_task(client.post("/v1/chat", json={"prompt": "hi"}))
            while len(app.bench.engine.jobs) < 2:
                await asyncio.sleep(0.001)
            await app.play(Admitted(), FAILURE)
            answer = await failing
            assert answer.status_code == 500
            assert answer.json() == {"error": "it broke", "code": "engine_error"}

    run(scenario)
