"""A real gateway and real fake workers for the process tests; the test plays the supervisor."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).resolve().parents[2]
FAKE_WORKER = ROOT / "tests" / "process" / "fakeworker.py"
Json = dict[str, Any]


def spawn(command: list[str], log: Path, pass_fds: tuple[int, ...] = ()) -> subprocess.Popen[bytes]:
    """A child like the supervisor's: own session, no inherited descriptors, output in a file."""
    with open(log, "ab") as output:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            pass_fds=pass_fds,
            cwd=ROOT,
        )


class Child:
    """One process with its epoch and the path all its runtime files start with."""

    def __init__(self, path: Path, epoch: str, process: subprocess.Popen[bytes]) -> None:
        self.path = path
        self.epoch = epoch
        self.process = process

    def kill(self, number: int = signal.SIGKILL) -> None:
        os.kill(self.process.pid, number)

    async def gone(self) -> int:
        return await asyncio.to_thread(self.process.wait, 20)

    def exit_json(self) -> Json:
        content: Json = json.loads(Path(f"{self.path}.exit.json").read_text())
        return content


class Worker(Child):
    name = "worker-0"
    generation = 1

    async def state(self) -> Json:
        async with unix_client(self.path) as client:
            content: Json = (await client.get("/fake/state")).json()
        return content

    async def until(self, **wanted: int) -> Json:
        """Wait until the fake worker's state has at least these counts."""
        while True:
            state = await self.state()
            if all(state[name] >= count for name, count in wanted.items()):
                return state
            await asyncio.sleep(0.02)


def unix_client(path: Path) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        transport=httpx.AsyncHTTPTransport(uds=str(path)), base_url="http://local", timeout=30
    )


class Rig:
    """Directory, listening socket, children; everything is killed at the end."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.children: list[Child] = []
        self.term = 1
        self.gateway: Child

    def log(self, name: str) -> Path:
        return self.directory / f"{name}.log"

    def write(self, name: str, content: object) -> Path:
        path = self.directory / name
        path.write_text(json.dumps(content))
        return path

    async def start_gateway(self, listen: socket.socket | None = None, **settings: object) -> Child:
        epoch = uuid.uuid4().hex
        gateway = {"death_verdict_seconds": 0.2, "keep_alive_seconds": 0.2, **settings}
        config = self.write(f"gw-{epoch[:8]}.json", {"gateway": gateway})
        control = self.directory / f"gw-{epoch[:8]}.sock"
        descriptor = (listen or self.listener).fileno()
        command = [sys.executable, "-m", "supervisor.gateway", "--config", str(config)]
        command += ["--epoch", epoch, "--control", str(control), "--listen-fd", str(descriptor)]
        process = spawn(command, self.log("gateway"), (descriptor,))
        self.gateway = Child(control, epoch, process)
        self.children.append(self.gateway)
        await self._answers(self.gateway, "/control/state")
        return self.gateway

    async def start_worker(self, **fake: object) -> Worker:
        epoch = uuid.uuid4().hex
        path = self.directory / f"w0-{epoch[:8]}.sock"
        config = self.write(f"{path.name}.config.json", {"inference": {"fake": fake}})
        command = [sys.executable, str(FAKE_WORKER), "--config", str(config), "--epoch", epoch]
        process = spawn([*command, "--socket", str(path)], self.log("worker"))
        worker = Worker(path, epoch, process)
        self.children.append(worker)
        await self._answers(worker, "/health")
        return worker

    async def _answers(self, child: Child, path: str) -> None:
        async with unix_client(child.path) as client:
            while True:
                assert child.process.poll() is None, "the child ended at its start"
                with contextlib.suppress(httpx.TransportError):
                    if (await client.get(path, headers=self.headers())).status_code == 200:
                        return
                await asyncio.sleep(0.05)

    def headers(self) -> dict[str, str]:
        return {"Glyph-Term": str(self.term)}

    async def control(self, method: str, verb: str, body: object = None) -> httpx.Response:
        async with unix_client(self.gateway.path) as client:
            return await client.request(
                method, f"/control/{verb}", json=body, headers=self.headers()
            )

    async def route(self, *workers: Worker, closed: tuple[Worker, ...] = ()) -> None:
        """Make these the gateway's workers."""
        rows = [
            {
                "name": worker.name,
                "epoch": worker.epoch,
                "generation": worker.generation,
                "socket": str(worker.path),
                "route": "closed" if worker in closed else "open",
            }
            for worker in (*workers, *closed)
        ]
        response = await self.control("PUT", "workers", {"workers": rows})
        assert response.status_code == 200, response.text

    async def death(self, worker: Worker, counted: bool = False) -> None:
        body = {"epoch": worker.epoch, "counted": counted, "cause": "test"}
        assert (await self.control("POST", "death", body)).status_code == 200

    async def state(self) -> Json:
        content: Json = (await self.control("GET", "state")).json()
        return content

    async def until(self, **wanted: int) -> Json:
        """Wait until a counter, `waiting` (held now) or `in_flight` has at least this value."""
        while True:
            state = await self.state()
            counts = {**state["counters"], "waiting": state["held"]}
            counts["in_flight"] = sum(state["in_flight"].values())
            if all(counts[name] >= count for name, count in wanted.items()):
                return state
            await asyncio.sleep(0.02)

    def client(self) -> httpx.AsyncClient:
        limits = httpx.Limits(max_connections=None)
        return httpx.AsyncClient(base_url=self.url, timeout=60, limits=limits)

    def close(self) -> None:
        for child in self.children:
            with contextlib.suppress(ProcessLookupError):
                child.process.kill()
            child.process.wait()
        self.listener.close()


@contextlib.asynccontextmanager
async def rig() -> AsyncIterator[Rig]:
    """A rig without any child yet, in a directory short enough for Unix sockets."""
    with tempfile.TemporaryDirectory(prefix="gw") as directory:
        made = Rig(Path(directory))
        try:
            yield made
            assert "Traceback" not in made.log("gateway").read_text()
        finally:
            made.close()


def ask(prompt: str, tokens: int = 8, **more: object) -> Json:
    """A request body."""
    message = {"role": "user", "content": prompt}
    return {"model": "fake-reader", "messages": [message], "max_tokens": tokens, "seed": 7, **more}


def expected(prompt: str, tokens: int = 8, seed: int = 7) -> str:
    from tests.process.fakeanswer import answer_text

    return answer_text(f"user:{prompt}", seed, tokens)


class Stream:
    """What a stream of the gateway said: raw lines, text, finish, usage, error."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.chunks: list[Json] = []
        self.done = False
        self.error: Json | None = None
        self.broken = False

    @property
    def text(self) -> str:
        deltas = [chunk["choices"][0]["delta"] for chunk in self.chunks if chunk["choices"]]
        return "".join(delta.get("content") or "" for delta in deltas)

    @property
    def finish_reason(self) -> str | None:
        found = [chunk["choices"][0]["finish_reason"] for chunk in self.chunks if chunk["choices"]]
        return found[-1] if found else None

    async def holds(self, count: int) -> None:
        """Wait until so many `: hold` lines have come."""
        while self.lines.count(": hold") < count:
            await asyncio.sleep(0.02)

    def line(self, line: str) -> None:
        self.lines.append(line)
        if line == "data: [DONE]":
            self.done = True
        elif line.startswith("data: "):
            body = json.loads(line[6:])
            if "error" in body:
                self.error = body["error"]
            else:
                self.chunks.append(body)


async def read_stream(
    client: httpx.AsyncClient, body: Json, on_chunk: Any = None, into: Stream | None = None
) -> Stream:
    """Read one stream to its end; `on_chunk(stream)` is awaited after each line of data."""
    stream = Stream() if into is None else into
    post = client.stream("POST", "/v1/chat/completions", json={**body, "stream": True})
    async with post as response:
        assert response.status_code == 200, await response.aread()
        try:
            async for line in response.aiter_lines():
                stream.line(line)
                if on_chunk is not None and line.startswith("data: "):
                    await on_chunk(stream)
        except httpx.RemoteProtocolError:
            stream.broken = True
    return stream
