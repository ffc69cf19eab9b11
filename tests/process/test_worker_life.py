"""A worker from start to end: loading, draining, signals, orphans, and what it leaves behind."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import stat
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.process.worker_rig import Json, WorkerProcess, body, events, running


@pytest.fixture(scope="module")
def worker() -> Iterator[WorkerProcess]:
    yield from running()


async def streaming(worker: WorkerProcess, seen: asyncio.Event, request: Json) -> list[str]:
    """Read a client stream to its end, telling when text has come."""
    received = []
    async with worker.client() as client:
        url = "/v1/chat/completions"
        async with client.stream("POST", url, json={**request, "stream": True}) as response:
            async for data in events(response):
                received.append(data)
                if len(received) > 3:
                    seen.set()
    return received


async def while_streaming(worker: WorkerProcess, tokens: int = 1000) -> asyncio.Task[list[str]]:
    """A stream that has begun and has far to go."""
    seen = asyncio.Event()
    request = body(max_tokens=tokens, stop=["never to be seen"])
    task = asyncio.create_task(streaming(worker, seen, request))
    await asyncio.wait_for(seen.wait(), 30)
    return task


def test_health_answers_while_loading() -> None:
    worker = WorkerProcess()
    try:

        async def scenario() -> None:
            first = await worker.reach("loading")
            assert first["epoch"] == worker.epoch
            assert (first["phase"], first["fingerprint"]) == ("loading", None)
            async with worker.client() as client:
                response = await client.get("/health")
                assert response.status_code == 503
                refused = await client.post("/v1/chat/completions", json=body())
                assert (refused.status_code, refused.json()["code"]) == (503, "loading")
                assert refused.headers["content-type"] == "application/problem+json"
                assert (await client.get("/v1/models")).json()["data"] == []
            assert worker.progress()["phase"] in (1, 2)
            ready = await worker.reach("ready")
            assert ready["slots"] == {"total": 8, "busy": 0}
            assert (ready["queue"], ready["gpu_memory_gb"]) == (0, None)
            assert ready["allocator"]["kv_bytes"] > 0
            assert len(ready["fingerprint"]) == 16
            assert ready["model"] == "embedded"
            assert ready["step"] > 0

        asyncio.run(scenario())
    finally:
        worker.clear()


def test_the_socket_is_private_and_so_is_the_progress(worker: WorkerProcess) -> None:
    for path in (worker.socket, Path(f"{worker.socket}.progress")):
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o600


def test_drain_finishes_what_runs_and_takes_nothing_new(worker: WorkerProcess) -> None:
    async def scenario() -> None:
        task = await while_streaming(worker)
        async with worker.client() as client:
            assert (await client.post("/control/drain")).status_code == 202
            assert (await client.get("/health")).json()["status"] == "draining"
            assert (await client.get("/health")).status_code == 200
            refused = await client.post("/v1/chat/completions", json=body())
            assert (refused.status_code, refused.json()["code"]) == (503, "draining")
            assert (await task)[-1] == "[DONE]"
            assert (await client.get("/health")).json()["slots"]["busy"] == 0
            assert (await client.post("/control/undrain")).status_code == 202
            answered = await client.post("/v1/chat/completions", json=body(max_tokens=2))
            assert answered.status_code == 200

    asyncio.run(scenario())


def test_a_bygone_supervisor_commands_nothing(worker: WorkerProcess) -> None:
    async def scenario() -> None:
        async with worker.client() as client:
            now, bygone = {"Glyph-Term": "7"}, {"Glyph-Term": "6"}
            assert (await client.get("/health", headers=now)).status_code == 200
            for method, path in [
                ("POST", "/control/drain"),
                ("POST", "/control/undrain"),
                ("GET", "/control/canary"),
            ]:
                refused = await client.request(method, path, headers=bygone)
                assert (refused.status_code, refused.json()["term"]) == (409, 7)
                assert (await client.request(method, path, headers=now)).is_success
            assert (await client.get("/health", headers=bygone)).status_code == 200
            assert (await client.get("/health")).json()["status"] == "ready"

    asyncio.run(scenario())


def test_the_canary_can_be_sung(worker: WorkerProcess) -> None:
    async def scenario() -> None:
        async with worker.client() as client:
            request = (await client.get("/control/canary")).json()["request"]
            answers = [
                (await client.post("/v1/chat/completions", json=request)).json() for _ in range(2)
            ]
            assert answers[0]["usage"]["prompt_tokens_details"]["pages"] == 1
            texts = [answer["choices"][0]["message"]["content"] for answer in answers]
            assert texts[0] == texts[1]

    asyncio.run(scenario())


def test_sigterm_cuts_streams_without_ending_them(worker_free: WorkerProcess) -> None:
    worker = worker_free

    async def scenario() -> None:
        await worker.reach("ready")
        task = await while_streaming(worker)
        worker.signal(signal.SIGTERM)
        with pytest.raises(httpx.RemoteProtocolError):
            await task

    asyncio.run(scenario())
    assert worker.wait() == 0
    record = worker.exit_record()
    assert (record["epoch"], record["code"]) == (worker.epoch, 0)
    assert "SIGTERM" in record["reason"]
    assert record["at"].endswith("+00:00")
    assert not worker.socket.exists()


@pytest.fixture
def worker_free() -> Iterator[WorkerProcess]:
    """A worker that may end by itself."""
    worker = WorkerProcess()
    yield worker
    worker.clear()


def test_sigterm_while_loading(worker_free: WorkerProcess) -> None:
    async def scenario() -> None:
        await worker_free.reach("loading")

    asyncio.run(scenario())
    worker_free.signal(signal.SIGTERM)
    assert worker_free.wait() == 0
    assert worker_free.exit_record()["code"] == 0


def test_sigint_is_for_the_supervisor_alone(worker: WorkerProcess) -> None:
    async def scenario() -> None:
        worker.signal(signal.SIGINT)
        task = await while_streaming(worker)
        worker.signal(signal.SIGINT)
        assert (await task)[-1] == "[DONE]"

    asyncio.run(scenario())


def test_kill_leaves_nothing_but_files(worker_free: WorkerProcess) -> None:
    worker = worker_free

    async def scenario() -> None:
        await worker.reach("ready")
        task = await while_streaming(worker)
        group = os.getpgid(worker.process.pid)
        worker.signal(signal.SIGKILL)
        with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
            await task
        assert worker.wait() == -signal.SIGKILL
        with pytest.raises(ProcessLookupError):
            os.killpg(group, 0)

    asyncio.run(scenario())
    names = {path.name for path in worker.directory.iterdir()}
    assert names == {"w.sock", "w.sock.progress", "w.sock.config.json", "log"}


def test_progress_beats_idle_moves_busy_and_freezes_stopped(worker: WorkerProcess) -> None:
    async def beats(count: int) -> Json:
        first = worker.progress()
        deadline = time.monotonic() + 30
        while worker.progress()["step"] < first["step"] + count:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.02)
        return worker.progress()

    async def scenario() -> None:
        idle = await beats(2)
        assert (idle["magic"], idle["epoch"]) == (b"GLPR", uuid.UUID(worker.epoch).bytes)
        assert (idle["phase"], idle["in_flight"]) == (3, 0)
        task = await while_streaming(worker)
        busy = await beats(20)
        assert (busy["phase"], busy["size"], busy["in_flight"]) == (7, 1, 1)
        assert busy["began"] <= time.monotonic_ns()
        worker.signal(signal.SIGSTOP)
        await asyncio.to_thread(_until_stopped, worker.process.pid)
        frozen = worker.progress()
        await asyncio.sleep(1.0)
        assert worker.progress() == frozen
        assert time.monotonic_ns() - frozen["began"] > 0.9e9
        worker.signal(signal.SIGCONT)
        assert (await task)[-1] == "[DONE]"

    asyncio.run(scenario())


def _until_stopped(pid: int) -> None:
    """The state in /proc/PID/stat is behind the name in parentheses."""
    while Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "T":
        time.sleep(0.005)


def test_an_orphan_ends_by_itself_but_not_while_serving() -> None:
    worker = WorkerProcess({"orphan_seconds": 2.0}, term=3)
    try:

        async def scenario() -> None:
            await worker.reach("ready")
            task = await while_streaming(worker, tokens=2000)
            assert (await task)[-1] == "[DONE]"

        asyncio.run(scenario())
        assert worker.wait() == 0
        assert "supervisor" in worker.exit_record()["reason"]
    finally:
        worker.clear()


def test_on_a_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    worker = WorkerProcess(port=port)
    try:
        asyncio.run(worker.reach("ready"))
        second = WorkerProcess(port=port)
        assert second.wait() == 75
        assert "Address already in use" in second.log
        second.clear()
        worker.signal(signal.SIGINT)
        assert worker.wait() == 0
    finally:
        worker.clear()


@pytest.mark.parametrize(
    ("settings", "word"),
    [({"kv": {"slots": 0}}, "kv.slots"), ({"model": "/nowhere"}, "/nowhere")],
)
def test_a_configuration_that_cannot_work_ends_with_78(
    settings: dict[str, object], word: str
) -> None:
    worker = WorkerProcess(settings)
    assert worker.wait() == 78
    assert word in worker.log
    worker.clear()


def test_a_damaged_checkpoint_ends_with_78_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "glm4v"}')
    worker = WorkerProcess({"model": str(tmp_path)})
    assert worker.wait() == 78
    record = worker.exit_record()
    assert record["code"] == 78
    assert "tokenizer.json" in record["reason"]
    worker.clear()
