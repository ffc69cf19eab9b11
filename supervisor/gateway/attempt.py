"""One attempt of one request on one worker, over a connection of its own."""

import asyncio
import errno
from collections.abc import Callable
from io import BytesIO

import aiohttp

from supervisor.gateway.counters import Counters
from supervisor.gateway.errors import Problem, from_worker
from supervisor.gateway.journal import Fence
from supervisor.gateway.record import Record
from supervisor.gateway.routing import Worker
from supervisor.gateway.sse import EventParser, EventTooLargeError
from supervisor.gateway.steps import (
    Complete,
    Cut,
    Expired,
    Fenced,
    Lost,
    Mismatch,
    Outcome,
    Refused,
    Unreachable,
)
from supervisor.gateway.upstream import connect, read_bounded
from supervisor.gateway.wire import Chunk, Done, MalformedEventError, WorkerError, parse_event

_HEADERS = {
    "glyph-journal": "1",
    "content-type": "application/json",
    "accept": "text/event-stream",
}
_LARGE_BODY_BYTES = 256 * 1024
_LATE_STATUS = {
    "invalid_request": 422,
    "unsupported": 422,
    "context_length_exceeded": 413,
    "deadline_exceeded": 504,
    "draining": 503,
    "loading": 503,
    "stopping": 503,
}


class Attempt:
    """Runs the exchange and says how it ended; reads ahead of a slow client only so far."""

    def __init__(
        self,
        record: Record,
        worker: Worker,
        counters: Counters,
        *,
        serves: Callable[[], None],
        cleared: Callable[[], None],
    ) -> None:
        self.opened = False
        self._record = record
        self._counters = counters
        self._serves = serves
        self._cleared = cleared
        self._worker = worker
        self._cut = False
        self._scope: asyncio.Timeout | None = None
        self._last: Chunk | None = None
        self._complete = False

    async def run(self) -> Outcome:
        """The outcome; the request's service deadline is kept here, its total one around."""
        if self._cut:
            return Cut()
        loop = asyncio.get_running_loop()
        self._record.pace.started(loop.time())
        over_at = self._record.service.start(loop.time())
        outcome: Outcome
        try:
            async with asyncio.timeout_at(over_at) as self._scope:
                outcome = await self._exchange()
        except TimeoutError:
            outcome = Cut() if self._cut else Expired()
        except (aiohttp.ClientError, OSError) as error:
            outcome = _connection_outcome(error)
        finally:
            self._scope = None
            self._record.service.stop(loop.time())
        return Complete() if self._complete else outcome

    def cut(self) -> None:
        """End the attempt now: the supervisor takes the request away from this worker."""
        self._cut = True
        if self._scope is not None and not self._scope.expired():
            self._scope.reschedule(asyncio.get_running_loop().time())

    async def _exchange(self) -> Outcome:
        record = self._record
        body = record.call.body(record.journal.resume_members())
        data = BytesIO(body) if len(body) > _LARGE_BODY_BYTES else body
        record.journal.begin(self._worker.epoch)
        async with connect(self._worker.socket) as session:
            response = await session.post(
                "http://worker/v1/chat/completions",
                data=data,
                headers=_HEADERS,
                allow_redirects=False,
            )
            try:
                if response.status != 503:
                    self._serves()
                if response.status != 200:
                    return _refusal(response.status, await read_bounded(response))
                return await self._stream(response.content)
            finally:
                response.close()

    async def _stream(self, content: aiohttp.StreamReader) -> Outcome:
        parser = EventParser()
        async for piece in content.iter_any():
            try:
                for data in parser.feed(piece):
                    outcome = self._take(data)
                    if outcome is not None:
                        return outcome
            except (EventTooLargeError, MalformedEventError) as error:
                return Fenced(str(error))
            await self._record.outbox.room()
        return Lost("the stream ended without [DONE]")

    def _take(self, data: bytes) -> Outcome | None:
        event = parse_event(data)
        if isinstance(event, WorkerError):
            status = _LATE_STATUS.get(event.code, 500)
            code = event.code or "engine_error"
            return Refused(Problem(status, code, "The worker failed", event.message))
        if isinstance(event, Done):
            return self._finish()
        if self._last is not None:
            return Fenced("a chunk behind the last one")
        if event.finish_reason is not None:
            # Accepted only with [DONE]: until then the stream may still turn out incomplete.
            self._last = event
            return None
        return self._accept(event)

    def _finish(self) -> Outcome:
        if self._last is None:
            return Fenced("[DONE] without finish_reason")
        if not self.opened:
            return Fenced("no first chunk")
        last = self._last
        if (outcome := self._fence(last)) is not None:
            return outcome
        # Closed with no wait in between: whatever ends this attempt now, the answer is complete.
        self._record.outbox.push(self._record.answer.complete(last))
        self._record.outbox.close(None)
        self._complete = True
        return Complete()

    def _accept(self, chunk: Chunk) -> Outcome | None:
        if not self.opened and (chunk.token_ids or chunk.text):
            return Fenced("tokens before the first chunk")
        if (outcome := self._fence(chunk)) is not None:
            return outcome
        answer, outbox = self._record.answer, self._record.outbox
        if self.opened:
            outbox.push(answer.progress(chunk))
        else:
            self.opened = True
            if self._record.pace.waiting_since is not None:
                self._counters.again(resumed=chunk.index > 0)
            outbox.push(answer.opening(chunk))
        return None

    def _fence(self, chunk: Chunk) -> Outcome | None:
        record = self._record
        verdict = record.journal.accept(chunk)
        if verdict is Fence.OTHER_FINGERPRINT:
            return Mismatch()
        if verdict is not Fence.ACCEPTED:
            return Fenced(verdict.value)
        if chunk.token_ids or chunk.finish_reason:
            self._counters.gap(record.pace.moved(asyncio.get_running_loop().time()))
            if record.suspicion.progress(len(record.journal.token_ids)):
                self._cleared()
        return None


def _connection_outcome(error: aiohttp.ClientError | OSError) -> Outcome:
    if isinstance(error, aiohttp.ClientConnectorError):
        return Unreachable(str(error))
    if isinstance(error, OSError) and error.errno == errno.ENOTCONN:
        # A full backlog of a Unix socket looks like a connection until the first write.
        return Unreachable("the worker does not accept connections")
    return Lost(str(error) or type(error).__name__)


def _refusal(status: int, body: bytes) -> Outcome:
    refusal = from_worker(status, body)
    if refusal.code == "fingerprint_mismatch":
        return Mismatch()
    if status < 400:
        return Fenced(f"status {status}")
    return Refused(refusal)
