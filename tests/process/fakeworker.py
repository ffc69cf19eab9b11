"""A worker without a model: speaks docs/wire.md sections 1 to 4 and misbehaves on request.

    python tests/process/fakeworker.py --config FILE --epoch EPOCH (--socket PATH | --port N)

Its faults are the key `fake` of the configuration, at the top or inside `inference`; they are
listed in `fakeanswer.Faults`. The text of an answer depends on (prompt, seed, index) only, so
`answer_text` says beforehand what any worker must answer. `GET /fake/state` tells what arrived:
requests with their resume lengths, how many were completed and cancelled.
"""

import argparse
import asyncio
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import NoReturn

import yaml
from aiohttp import web

if not __package__:  # run as a script
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.process.fakeanswer import Faults, Progress, read_faults
from tests.process.fakechat import FakeChat


class FakeWorker:
    def __init__(self, faults: Faults, epoch: str, socket_path: str | None) -> None:
        self.faults = faults
        self.epoch = epoch
        self.socket_path = socket_path
        self.status = "loading"
        self.started_at = self.heard_at = time.monotonic()
        self.progress = Progress(socket_path and f"{socket_path}.progress", epoch)
        self.term = 0
        self.chat = FakeChat(faults, epoch, self.progress, lambda: self.status, self.leave)

    def app(self) -> web.Application:
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.add_routes(
            [
                web.get("/health", self.health),
                web.get("/v1/models", self.models),
                web.post("/v1/chat/completions", self.chat.chat),
                web.post("/control/drain", self.drain),
                web.post("/control/undrain", self.drain),
                web.get("/control/canary", self.canary),
                web.get("/fake/state", self.state),
            ]
        )
        return app

    async def life(self) -> None:
        """Load, warm, then beat."""
        for status, seconds in (
            ("loading", self.faults.load_seconds),
            ("warming", self.faults.warm_seconds),
        ):
            self.status = status
            self.progress.write(status, 0)
            await asyncio.sleep(3600 if self.faults.never_ready else seconds)
        self.status = "ready"
        while True:
            self.progress.write("decode" if self.chat.busy else "ready", self.chat.busy)
            if time.monotonic() - self.heard_at > self.faults.orphan_seconds and not self.chat.busy:
                self.leave(0, "no word from a supervisor")
            await asyncio.sleep(0.25)

    def leave(self, code: int, reason: str) -> NoReturn:
        """Write exit.json and go, cutting whatever runs."""
        if self.socket_path is not None:
            content = {"epoch": self.epoch, "code": code, "reason": reason, "at": time.time()}
            with open(f"{self.socket_path}.exit.json", "w") as file:
                json.dump(content, file)
                file.flush()
                os.fsync(file.fileno())
        os._exit(code)

    def hear(self, request: web.Request) -> None:
        term = request.headers.get("Glyph-Term")
        if term is None:
            return
        if int(term) < self.term:
            raise web.HTTPConflict(
                text=json.dumps({"term": self.term}), content_type="application/json"
            )
        self.term, self.heard_at = int(term), time.monotonic()

    async def health(self, request: web.Request) -> web.Response:
        self.hear(request)
        await asyncio.sleep(self.faults.health_delay_seconds)
        body = {
            "status": self.status,
            "epoch": self.epoch,
            "uptime_minutes": (time.monotonic() - self.started_at) / 60,
            "gpu_memory_gb": None,
            "allocator": {},
            "slots": {"total": self.faults.slots, "busy": self.chat.busy},
            "queue": self.chat.waiting,
            "phase": "idle" if self.progress.phase == "ready" else self.progress.phase,
            "phase_size": self.chat.busy,
            "step": self.progress.step,
            "step_age_seconds": (time.monotonic_ns() - self.progress.began_ns) / 1e9,
            "fingerprint": self.faults.fingerprint,
            "model": "fake-reader",
        }
        return web.json_response(body, status=503 if self.status in ("loading", "warming") else 200)

    async def models(self, request: web.Request) -> web.Response:
        entry = {"id": "fake-reader", "object": "model", "created": 0, "owned_by": "glyph"}
        return web.json_response({"object": "list", "data": [entry]})

    async def drain(self, request: web.Request) -> web.Response:
        self.hear(request)
        self.status = "draining" if request.path.endswith("/drain") else "ready"
        return web.json_response({}, status=202)

    async def canary(self, request: web.Request) -> web.Response:
        message = {"role": "user", "content": "canary"}
        body = {"messages": [message], "max_tokens": 4, "temperature": 0}
        return web.json_response({"request": body})

    async def state(self, request: web.Request) -> web.Response:
        return web.json_response(
            {
                **self.chat.counts,
                "busy": self.chat.busy,
                "tokens": self.chat.tokens,
                "requests": list(self.chat.requests),
            }
        )


async def serve(arguments: argparse.Namespace, faults: Faults) -> None:
    worker = FakeWorker(faults, arguments.epoch, arguments.socket)
    loop = asyncio.get_running_loop()
    if faults.ignore_sigterm:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    else:
        loop.add_signal_handler(signal.SIGTERM, worker.leave, 0, "SIGTERM")
    runner = web.AppRunner(worker.app(), handler_cancellation=True, access_log=None)
    await runner.setup()
    site: web.BaseSite
    if arguments.socket is not None:
        site = web.UnixSite(runner, arguments.socket, backlog=2048)
    else:
        site = web.TCPSite(runner, "127.0.0.1", arguments.port)
    mask = os.umask(0o177)
    await site.start()
    os.umask(mask)
    await worker.life()


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--config", required=True)
    parser.add_argument("--epoch")
    parser.add_argument("--socket")
    parser.add_argument("--port", type=int)
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args(argv)
    if not arguments.check and (
        arguments.epoch is None or not (arguments.socket or arguments.port)
    ):
        return 64
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        faults = read_faults(yaml.safe_load(Path(arguments.config).read_text()))
    except (OSError, ValueError, TypeError) as error:
        print(error, file=sys.stderr)
        return 78
    if arguments.check:
        print("[]")
        return 0
    if faults.exit_at_start is not None:
        return faults.exit_at_start
    asyncio.run(serve(arguments, faults))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
