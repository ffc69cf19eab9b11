"""`POST /v1/chat/completions`: from the client's bytes to a record, and its answer back."""

import asyncio
import contextlib
import secrets
from collections.abc import Callable, Coroutine
from typing import Any

from starlette.types import Receive, Scope, Send

from supervisor.gateway.call import parse_call
from supervisor.gateway.delivery import deliver_plain, deliver_stream, send_problem
from supervisor.gateway.errors import RefusedError, problem
from supervisor.gateway.hub import Hub
from supervisor.gateway.record import Record
from supervisor.gateway.relay import relay

_SEED_BITS = 63


class ClientGoneError(Exception):
    """The client closed its connection."""


class ChatCompletions:
    """The ASGI endpoint."""

    def __init__(self, hub: Hub, translate: Callable[[bytes], bytes] = bytes) -> None:
        """`translate` makes a chat completion of a body; it may raise RefusedError."""
        self._hub = hub
        self._translate = translate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request and count how it ended."""
        hub = self._hub
        hub.counters.requests += 1
        arrived_at = hub.clock()
        try:
            body = await self._read(scope, receive)
        except RefusedError as refused:
            hub.counters.fail(refused.problem.code)
            await send_problem(send, refused.problem)
            return
        except ClientGoneError:
            hub.counters.cancelled += 1
            return
        try:
            call = parse_call(self._translate(body), secrets.randbits(_SEED_BITS))
            record = hub.admit(call, len(body), arrived_at)
        except RefusedError as refused:
            hub.admission.release(len(body))
            hub.counters.fail(refused.problem.code)
            await send_problem(send, refused.problem)
            return
        del body  # from here on the record holds the prompt, once
        try:
            await self._answer(record, receive, send)
        finally:
            hub.discharge(record)

    async def _answer(self, record: Record, receive: Receive, send: Send) -> None:
        counters = self._hub.counters
        work = asyncio.create_task(relay(self._hub, record))
        gone = asyncio.create_task(_disconnected(receive))
        delivery = asyncio.create_task(self._deliver(record, send))
        tasks: list[asyncio.Task[None]] = [work, gone, delivery]
        try:
            await asyncio.wait({gone, delivery}, return_when=asyncio.FIRST_COMPLETED)
            delivered = delivery.done()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        if not delivered:
            counters.cancelled += 1
        elif record.outbox.failure is not None:
            counters.fail(record.outbox.failure.code)
        else:
            delivery.result()
            counters.completed += 1
            self._hub.drain_rate.note(self._hub.clock())

    def _deliver(self, record: Record, send: Send) -> Coroutine[Any, Any, None]:
        if not record.call.stream:
            return deliver_plain(record, send)
        settings = self._hub.settings
        status_by = record.pace.moved_at + settings.status_delay_seconds
        return deliver_stream(record, send, status_by, settings.keep_alive_seconds)

    async def _read(self, scope: Scope, receive: Receive) -> bytes:
        """The body, its bytes reserved; nothing is after RefusedError (too much, too slow)."""
        limit = self._hub.settings.body_bytes
        if _content_length(scope) > limit:
            raise _too_large(limit)
        admission = self._hub.admission
        body = bytearray()
        try:
            while True:
                async with asyncio.timeout(self._hub.settings.idle_seconds):
                    message = await receive()
                if message["type"] == "http.disconnect":
                    raise ClientGoneError
                piece = message.get("body", b"")
                if len(body) + len(piece) > limit:
                    raise _too_large(limit)
                if not admission.reserve(len(piece)):
                    raise RefusedError(self._hub.overloaded("no room for more request bodies"))
                body += piece
                if not message.get("more_body", False):
                    return bytes(body)
        except TimeoutError:
            admission.release(len(body))
            raise RefusedError(problem("body_too_slow", "the body did not arrive")) from None
        except BaseException:
            admission.release(len(body))
            raise


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _content_length(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length":
            with contextlib.suppress(ValueError):
                return int(value)
    return 0


def _too_large(limit: int) -> RefusedError:
    return RefusedError(problem("body_too_large", f"the body is larger than {limit} bytes"))
