"""POST /v1/chat/completions."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator, Coroutine, Mapping

from starlette.requests import ClientDisconnect, Request
from starlette.types import Receive, Scope, Send

from inference.api.articles import Article
from inference.api.openai import Answer, event, new_id
from inference.api.schema import parse_chat
from inference.api.stream import client_events, journal_events
from inference.api.worker import Ready, Worker
from inference.batching.chat import ChatRequest
from inference.batching.request import FinishReason
from inference.batching.service import Ticket
from inference.engine.values import Logprobs
from inference.errors import RequestError

_STREAM_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),
]
_log = logging.getLogger(__name__)


class ClientGoneError(Exception):
    """Nobody listens any more."""


class ToldError(Exception):
    """The answer failed and the client has been told inside the stream."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class ChatEndpoint:
    """An ASGI application of its own: it must notice when the client leaves, stream or not."""

    def __init__(self, worker: Worker, article: Article | None = None) -> None:
        """An `article` puts another shape around requests and answers."""
        self._worker = worker
        self._article = article

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request. Raises RequestError for refusals."""
        outcome = "engine_error"
        try:
            await self._serve(scope, receive, send)
            outcome = "completed"
        except (ClientGoneError, ClientDisconnect):
            outcome = "cancelled"
            _log.info("client gone")
        except ToldError as error:
            outcome = error.code
        except RequestError as error:
            outcome = error.code
            if self._article is None:
                raise
            await _send_json(self._article.failure(error), send, error.status)
        finally:
            self._worker.counts.ended(outcome)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        journal = request.headers.get("glyph-journal") == "1" and self._article is None
        ready = self._worker.admitting()
        body = await read_body(request, self._worker.config.limits.body_bytes)
        if self._article is not None:
            body = self._article.request(body)
        chat = parse_chat(body, self._worker.config.max_new_tokens_limit, journal)
        work = self._answer(ready, chat, journal, send)
        del body, chat  # megabytes of pictures, wanted no longer than until they are prepared
        await until_gone(receive, work)

    async def _answer(self, ready: Ready, chat: ChatRequest, journal: bool, send: Send) -> None:
        began = time.monotonic()
        request_id = new_id()
        ticket = await ready.service.submit(request_id, chat)
        self._worker.counts.admitted(ticket.prepared.usage)
        stream, include_usage = chat.stream, chat.include_usage
        del chat
        try:
            answer = Answer(request_id, ready.facts.model, ticket.prepared)
            if journal:
                await _send_events(journal_events(ticket, answer, self._worker.epoch), send)
            elif stream:
                await _send_events(client_events(ticket, answer, include_usage), send)
            else:
                completion = await _collect(ticket, answer)
                article = self._article
                await _send_json(article.members(completion) if article else completion, send)
        finally:
            ready.service.release(ticket)
            usage = ticket.prepared.usage
            _log.info(
                "request %s: %d prompt tokens, %d pages, %.3f s",
                request_id,
                usage.prompt_tokens,
                usage.facts.pages,
                time.monotonic() - began,
            )


async def read_body(request: Request, limit_bytes: int) -> bytes:
    """The body, if it is not larger than allowed. Raises RequestError, ClientDisconnect."""
    error = RequestError("body_too_large", f"the body may have {limit_bytes} bytes")
    announced = request.headers.get("content-length", "0")
    if announced.isdecimal() and int(announced) > limit_bytes:
        raise error
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > limit_bytes:
            raise error
    return bytes(body)


async def until_gone(receive: Receive, work: Coroutine[None, None, None]) -> None:
    """Do `work` unless the client leaves first. Raises ClientGoneError and what `work` raises."""
    task = asyncio.create_task(work)
    watcher = asyncio.create_task(_gone(receive))
    try:
        await asyncio.wait({task, watcher}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientGoneError
        task.result()
    finally:
        task.cancel()
        watcher.cancel()
        await asyncio.gather(task, watcher, return_exceptions=True)


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _collect(ticket: Ticket, answer: Answer) -> dict[str, object]:
    pieces: list[str] = []
    ids: list[int] = []
    told: list[Logprobs] = []
    reason: FinishReason = "stop"
    async for step in ticket.progress():
        pieces.append(step.text)
        ids += step.token_ids
        told += step.logprobs
        reason = step.finish_reason or reason
    logprobs = answer.logprobs(ids, told)
    return answer.completion("".join(pieces), reason, len(ids), logprobs)


async def _send_json(body: Mapping[str, object], send: Send, status: int = 200) -> None:
    data = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(data)).encode()),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": data, "more_body": False})


async def _send_events(events: AsyncIterator[bytes], send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": _STREAM_HEADERS})
    try:
        async for data in events:
            await send({"type": "http.response.body", "body": data, "more_body": True})
    except RequestError as error:
        payload = event({"error": error.openai_error()})
        await send({"type": "http.response.body", "body": payload, "more_body": True})
        # Without an end: the server then cuts the connection.
        raise ToldError(error.code) from error
    await send({"type": "http.response.body", "body": b"", "more_body": False})
