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
from collections import deque
from pathlib import Path
from typing import NoReturn

import yaml
from aiohttp import web

if not __package__:  # run as a script
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.process.fakeanswer import (
    Answer,
    Faults,
    Progress,
    base,
    event,
    event_of,
    prompt_of,
    reached,
    read_faults,
    usage,
)


class FakeWorker:
    def __init__(self, faults: Faults, epoch: str, socket_path: str | None) -> None:
        self.faults = faults
        self.epoch = epoch
        self.socket_path = socket_path
        self.status = "loading"
        self.started_at = self.heard_at = time.monotonic()
        self.progress = Progress(socket_path and f"{socket_path}.progress", epoch)
        self.term = 0
        self.busy = self.waiting = self.tokens = 0
        self.slots = asyncio.Semaphore(faults.slots)
        self.refusals = faults.refuse_times if faults.refuse_status else 0
        self.once_done: set[str] = set()
        self.counts = {"completed": 0, "cancelled": 0}
        self.requests: deque[dict] = deque(maxlen=1000)

    def app(self) -> web.Application:
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.add_routes(
            [
                web.get("/health", self.health),
                web.get("/v1/models", self.models),
                web.post("/v1/chat/completions", self.chat),
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
            self.progress.write("decode" if self.busy else "ready", self.busy)
            if time.monotonic() - self.heard_at > self.faults.orphan_seconds and not self.busy:
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
            raise web.HTTPConflict(text=json.dumps({"term": self.term}))
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
            "slots": {"total": self.faults.slots, "busy": self.busy},
            "queue": self.waiting,
            "phase": "idle" if self.progress.phase == "ready" else self.progress.phase,
            "phase_size": self.busy,
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
                **self.counts,
                "busy": self.busy,
                "tokens": self.tokens,
                "requests": list(self.requests),
            }
        )

    async def chat(self, request: web.Request) -> web.StreamResponse:
        body = await request.json()
        glyph = body.get("glyph") or {}
        prompt = prompt_of(body.get("messages") or [])
        resume = list(glyph.get("resume_token_ids") or [])
        seed = body.get("seed")
        seed = glyph.get("seed", 0) if seed is None else seed
        self.requests.append({"prompt": prompt[:200], "resumed": len(resume), "seed": seed})
        if (refusal := self.refusal(body, glyph, resume)) is not None:
            return refusal
        limit = body.get("max_tokens") or 32
        answer = Answer(prompt, seed, limit, self.faults, resume)
        self.waiting += 1
        try:
            await self.slots.acquire()
        finally:
            self.waiting -= 1
        self.busy += 1
        try:
            return await self.answer(request, body, answer)
        except (asyncio.CancelledError, ConnectionResetError):
            self.counts["cancelled"] += 1
            if self.faults.ignore_cancel:
                await asyncio.shield(asyncio.ensure_future(self.go_on(answer)))
            raise
        finally:
            self.busy -= 1
            self.slots.release()

    async def go_on(self, answer: Answer) -> None:
        while answer.step():
            await asyncio.sleep(self.faults.token_seconds)

    def refusal(self, body: dict, glyph: dict, resume: list[int]) -> web.Response | None:
        if self.status in ("loading", "warming"):
            return problem(503, "loading")
        if self.status == "draining":
            return problem(503, "draining")
        if self.refusals > 0 and self.faults.refuse_status is not None:
            self.refusals -= 1
            return problem(self.faults.refuse_status, self.faults.refuse_code)
        if self.waiting >= self.faults.queue + self.faults.slots - self.busy:
            return problem(429, "queue_full")
        if not body.get("messages") or body.get("n", 1) != 1:
            return problem(422, "unsupported")
        if resume and glyph.get("fingerprint") != self.faults.fingerprint:
            return problem(409, "fingerprint_mismatch")
        return None

    async def answer(self, request: web.Request, body: dict, answer: Answer) -> web.StreamResponse:
        if request.headers.get("Glyph-Journal") != "1":
            while answer.step():
                await asyncio.sleep(self.faults.token_seconds)
            message = {"role": "assistant", "content": answer.release(0).decode()}
            choice = {"index": 0, "finish_reason": answer.finish_reason, "message": message}
            return web.json_response({**base("chat.completion"), "choices": [choice]})
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        await self.stream(request, response, answer, body.get("glyph") or {})
        return response

    async def stream(
        self, request: web.Request, response: web.StreamResponse, answer: Answer, glyph: dict
    ) -> None:
        sent = int(glyph.get("resume_text_bytes") or 0)
        chunk = base("chat.completion.chunk")
        opening = {"role": "assistant", "content": ""}
        facts = {"mode": "never", "pages": 0}
        await response.write(event(chunk, self.glyph(answer, [], sent, facts), opening))
        while True:
            new = answer.step()
            text = answer.release(sent)
            sent += len(text)
            done = answer.finish_reason
            if done:
                chunk["usage"] = usage(answer)
            data = event(chunk, self.glyph(answer, new, sent), {"content": text.decode()}, done)
            if new and await self.misbehaves(request, response, answer, len(new), data):
                return
            await response.write(data)
            if done:
                await response.write(b"data: [DONE]\n\n")
                self.counts["completed"] += 1
                return
            await asyncio.sleep(self.faults.token_seconds)

    def glyph(self, answer: Answer, new: list[int], sent: int, facts: dict | None = None) -> dict:
        index = len(answer.ids) - len(new)
        if self.faults.wrong_index_after is not None and index >= self.faults.wrong_index_after:
            index += 1
        return {
            "epoch": "0" * 32 if self.faults.stale_epoch else self.epoch,
            "index": index,
            "token_ids": new,
            "text_bytes": sent,
            "fingerprint": self.faults.fingerprint,
            **(facts or {}),
        }

    async def misbehaves(
        self,
        request: web.Request,
        response: web.StreamResponse,
        answer: Answer,
        new: int,
        data: bytes,
    ) -> bool:
        """Do what is due; True if this stream is over."""
        faults, tokens = self.faults, len(answer.ids)
        self.tokens += new
        self.progress.write("decode", self.busy)
        poisoned = faults.die_on is not None and faults.die_on in answer.prompt
        if poisoned or reached(self.tokens, faults.die_after_tokens):
            self.die()
        if reached(self.tokens, faults.hang_after_tokens):
            self.progress.frozen = True
            await asyncio.Event().wait()
        if self.first("break_after_tokens", tokens):
            return True
        if self.first("late_error_after_tokens", tokens):
            await response.write(event_of({"error": {"message": "failed", "code": "engine_error"}}))
        elif self.first("half_event_after_tokens", tokens):
            await response.write(data[: len(data) // 2])
        else:
            return False
        if request.transport is not None:
            request.transport.close()
        return True

    def die(self) -> None:
        how = self.faults.die_with
        if how.startswith("exit:"):
            self.leave(int(how.removeprefix("exit:")), "told to")
        os.kill(os.getpid(), getattr(signal, how))

    def first(self, fault: str, tokens: int) -> bool:
        """Whether this once-only fault is due."""
        if fault in self.once_done or not reached(tokens, getattr(self.faults, fault)):
            return False
        self.once_done.add(fault)
        return True


def problem(status: int, code: str) -> web.Response:
    error = {"message": f"fake: {code}", "type": "fake", "code": code, "param": None}
    body = {"type": "about:blank", "title": code, "status": status, "detail": code, "code": code}
    return web.json_response(
        {**body, "error": error}, status=status, content_type="application/problem+json"
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
    parser.add_argument("--epoch", required=True)
    parser.add_argument("--socket")
    parser.add_argument("--port", type=int)
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args(argv)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        faults = read_faults(yaml.safe_load(Path(arguments.config).read_text()))
    except (OSError, ValueError, TypeError) as error:
        print(error, file=sys.stderr)
        return 78
    if faults.exit_at_start is not None:
        return faults.exit_at_start
    asyncio.run(serve(arguments, faults))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
