"""The chat completions of a fake worker: slots, internal stream, and every way to spoil them."""

import asyncio
import os
import signal
from collections import deque
from collections.abc import Callable
from typing import NoReturn

from aiohttp import web

from tests.process.fakeanswer import (
    Answer,
    Faults,
    Progress,
    base,
    event,
    event_of,
    logprobs,
    prompt_of,
    reached,
    usage,
)


class FakeChat:
    """`status` and `leave` are the process's: whether it takes requests, and how it ends itself."""

    def __init__(
        self,
        faults: Faults,
        epoch: str,
        progress: Progress,
        status: Callable[[], str],
        leave: Callable[[int, str], NoReturn],
    ) -> None:
        self.faults = faults
        self.epoch = epoch
        self.progress = progress
        self.status = status
        self.leave = leave
        self.busy = self.waiting = self.tokens = 0
        self.slots = asyncio.Semaphore(faults.slots)
        self.refusals = faults.refuse_times if faults.refuse_status else 0
        self.once_done: set[str] = set()
        self.counts = {"completed": 0, "cancelled": 0}
        self.requests: deque[dict] = deque(maxlen=1000)

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
        answer.logprobs = body.get("logprobs") is True
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
        if self.status() in ("loading", "warming"):
            return problem(503, "loading")
        if self.status() == "draining":
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
            told = logprobs(new, len(answer.ids) - len(new)) if new and answer.logprobs else None
            delta = {"content": text.decode()}
            data = event(chunk, self.glyph(answer, new, sent), delta, done, told)
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
