"""From a request's outbox to its client: status line, kept-alive stream, honest ends."""

import asyncio

from starlette.types import Send

from supervisor.gateway import sse
from supervisor.gateway.errors import Problem
from supervisor.gateway.record import Record

_STREAM_HEADERS = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-cache, no-transform",
    "x-accel-buffering": "no",
}


async def send_body(
    send: Send, status: int, headers: dict[str, str], body: bytes, request_id: str | None = None
) -> None:
    """A complete answer."""
    await _start(send, status, {**headers, "content-length": str(len(body))}, request_id)
    await send({"type": "http.response.body", "body": body, "more_body": False})


async def send_problem(send: Send, failure: Problem, request_id: str | None = None) -> None:
    """A complete answer that says what went wrong."""
    await send_body(send, failure.status, failure.headers(), failure.body(), request_id)


async def deliver_plain(record: Record, send: Send) -> None:
    """The whole answer once it is complete, or its problem with its own status."""
    body = b""
    while not record.outbox.closed:
        body += await record.outbox.take()
    body += await record.outbox.take()
    record.patience.committed = True
    if record.outbox.failure is not None:
        await send_problem(send, record.outbox.failure, record.request_id)
        return
    headers = {"content-type": "application/json", "cache-control": "no-store"}
    await send_body(send, 200, headers, body, record.request_id)


async def deliver_stream(
    record: Record, send: Send, status_by: float, keep_alive_seconds: float
) -> None:
    """The stream as it comes; returns without ending the body if it is not complete.

    The status line waits for the first bytes or for the loop time `status_by`, so that a refusal
    keeps its own status.
    """
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout_at(max(status_by, loop.time())):
            first = await record.outbox.take()
    except TimeoutError:
        first = sse.HOLD
    record.patience.committed = True
    if not first and record.outbox.failure is not None:
        await send_problem(send, record.outbox.failure, record.request_id)
        return
    await _start(send, 200, _STREAM_HEADERS, record.request_id)
    await _send_part(send, first)
    while piece := await _next(record, keep_alive_seconds):
        await _send_part(send, piece)
    failure = record.outbox.failure
    if failure is None:
        await send({"type": "http.response.body", "body": b"", "more_body": False})
    else:
        # The body is left without its end: a clean one would look like success to clients.
        await _send_part(send, failure.late_event())


async def _next(record: Record, keep_alive_seconds: float) -> bytes:
    try:
        async with asyncio.timeout(keep_alive_seconds):
            return await record.outbox.take()
    except TimeoutError:
        return sse.HOLD


async def _start(send: Send, status: int, headers: dict[str, str], request_id: str | None) -> None:
    pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
    if request_id is not None:
        pairs.append((b"x-request-id", request_id.encode()))
    await send({"type": "http.response.start", "status": status, "headers": pairs})


async def _send_part(send: Send, body: bytes) -> None:
    await send({"type": "http.response.body", "body": body, "more_body": True})
