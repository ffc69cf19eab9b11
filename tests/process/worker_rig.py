"""A real worker process and the ways tests talk to it."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).resolve().parents[2]
Json = dict[str, Any]
DEADLINE_SECONDS = 60.0


@cache
def model_cache() -> Path:
    """Where this test run builds the embedded model, once."""
    directory = Path(tempfile.mkdtemp(prefix="glyph-models-"))
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    return directory


@dataclass
class WorkerProcess:
    """One generation, on a Unix socket in a directory of its own."""

    settings: Mapping[str, object] = field(default_factory=dict)
    port: int | None = None
    term: int | None = None
    """Sent with /health, as a supervisor does."""
    epoch: str = field(default_factory=lambda: uuid.uuid4().hex)
    directory: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="gw-")))

    def __post_init__(self) -> None:
        self.socket = self.directory / "w.sock"
        config = self.directory / "w.sock.config.json"
        inference = {"model_cache_directory": str(model_cache()), **self.settings}
        config.write_text(json.dumps({"inference": inference, "listen": "ignored"}))
        place = ["--port", str(self.port)] if self.port else ["--socket", str(self.socket)]
        command = [sys.executable, "-m", "inference", "--config", str(config)]
        with (self.directory / "log").open("wb") as log:
            self.process = subprocess.Popen(
                [*command, "--epoch", self.epoch, *place],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    @property
    def log(self) -> str:
        return (self.directory / "log").read_text()

    def exit_record(self) -> Json:
        record: Json = json.loads(Path(f"{self.socket}.exit.json").read_text())
        return record

    def progress(self) -> Json:
        """The progress file, by docs/wire.md section 3."""
        while True:
            data = Path(f"{self.socket}.progress").read_bytes()
            names = ("magic", "sequence", "epoch", "step", "phase", "size", "began", "stepped")
            values = struct.unpack("<4sI16sQIIQQQ", data)
            again = Path(f"{self.socket}.progress").read_bytes()
            if values[1] % 2 == 0 and data[4:8] == again[4:8]:
                return dict(zip((*names, "in_flight"), values, strict=True))

    def client(self) -> httpx.AsyncClient:
        if self.port:
            return httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.port}", timeout=60)
        transport = httpx.AsyncHTTPTransport(uds=str(self.socket))
        return httpx.AsyncClient(transport=transport, base_url="http://worker", timeout=60)

    async def health(self) -> Json:
        headers = {} if self.term is None else {"Glyph-Term": str(self.term)}
        async with self.client() as client:
            health: Json = (await client.get("/health", headers=headers)).json()
            return health

    async def reach(self, status: str) -> Json:
        """Wait until /health says `status`."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        while True:
            with contextlib.suppress(httpx.TransportError):
                health = await self.health()
                if health["status"] == status:
                    return health
            assert self.process.poll() is None, self.log
            assert time.monotonic() < deadline, self.log
            await asyncio.sleep(0.05)

    def wait(self) -> int:
        return self.process.wait(DEADLINE_SECONDS)

    def signal(self, number: int) -> None:
        os.kill(self.process.pid, number)

    def clear(self) -> None:
        """End what is left and remove the files."""
        if self.process.poll() is None:
            self.signal(signal.SIGKILL)
            self.wait()
        shutil.rmtree(self.directory)


def running(settings: Mapping[str, object] | None = None) -> Iterator[WorkerProcess]:
    """Body of a fixture: a worker that is ready."""
    worker = WorkerProcess(settings or {})
    try:
        asyncio.run(worker.reach("ready"))
        yield worker
        assert worker.process.poll() is None, worker.log
    finally:
        worker.clear()


def body(text: str = "In the beginning", **keys: object) -> Json:
    return {"messages": [{"role": "user", "content": text}], "temperature": 0, **keys}


@dataclass
class Journal:
    """What a Glyph-Journal stream brought."""

    chunks: list[Json]
    done: bool

    @property
    def token_ids(self) -> list[int]:
        return [token for chunk in self.chunks for token in chunk["glyph"]["token_ids"]]

    @property
    def text(self) -> str:
        return "".join(chunk["choices"][0]["delta"]["content"] for chunk in self.chunks)

    @property
    def logprobs(self) -> list[Json]:
        told = [chunk["choices"][0]["logprobs"] for chunk in self.chunks]
        return [entry for one in told if one for entry in one["content"]]

    @property
    def finish_reason(self) -> str | None:
        reason: str | None = self.chunks[-1]["choices"][0]["finish_reason"]
        return reason


async def events(response: httpx.Response) -> AsyncIterator[str]:
    """The data of each event; an event is complete with its empty line."""
    async for line in response.aiter_lines():
        if line:
            assert line.startswith("data: "), line
            yield line.removeprefix("data: ")


async def journal(client: httpx.AsyncClient, request: Json) -> Journal:
    headers = {"Glyph-Journal": "1"}
    url = "/v1/chat/completions"
    async with client.stream("POST", url, json=request, headers=headers) as response:
        assert response.status_code == 200, await response.aread()
        found = Journal([], False)
        async for data in events(response):
            if data == "[DONE]":
                found.done = True
            else:
                found.chunks.append(json.loads(data))
        return found
