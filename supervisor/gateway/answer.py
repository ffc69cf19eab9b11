"""What the client sees: accepted chunks as its own stream, or gathered into one plain answer.

Identity (id, created) is the first attempt's; usage is the whole answer's; nothing internal is left
in.
"""

from typing import Protocol

from supervisor.gateway import sse
from supervisor.gateway.errors import RefusedError, problem
from supervisor.gateway.wire import Chunk, Json, encode

LOGPROB_BYTES = 32 * 1024 * 1024
"""Log probabilities, as JSON, that are gathered for one plain answer."""


class Answer(Protocol):
    """Turns accepted chunks into bytes for the client."""

    def opening(self, chunk: Chunk) -> bytes:
        """The first chunk of an attempt."""

    def progress(self, chunk: Chunk) -> bytes:
        """A chunk with tokens. RefusedError if this is more than can be gathered."""

    def complete(self, chunk: Chunk) -> bytes:
        """The last chunk, once the stream is known to be complete. RefusedError as above."""

    def restart(self) -> bool:
        """Forget what was gathered; False if the client has already seen some of the answer."""


class StreamAnswer:
    """A client that asked for a stream."""

    __slots__ = ("_created", "_id", "_include_usage", "_opened", "_sent")

    def __init__(self, answer_id: str, include_usage: bool) -> None:
        self._id = answer_id
        self._created: object = None
        self._include_usage = include_usage
        self._opened = False
        self._sent = False

    def opening(self, chunk: Chunk) -> bytes:
        """The role, once; a resumed attempt opens with nothing the client has not seen."""
        if self._opened:
            return b""
        self._opened = True
        self._id = answer_id(chunk.body, self._id)
        self._created = chunk.body.get("created")
        return self._event(chunk, facts=True)

    def progress(self, chunk: Chunk) -> bytes:
        """The text of the chunk, if it released any, and the log probabilities if it has some."""
        if not chunk.text and not chunk.logprobs:
            return b""
        self._sent = True
        return self._event(chunk)

    def complete(self, chunk: Chunk) -> bytes:
        """The finish, the usage if it was asked for, and the end mark."""
        last = self._event(chunk)
        if self._include_usage:
            usage = {**chunk.body, **self._identity(), "choices": [], "usage": chunk.usage}
            last += sse.event(encode(usage))
        return last + sse.DONE

    def restart(self) -> bool:
        """Only possible while nothing of the answer was sent."""
        return not self._sent

    def _identity(self) -> Json:
        return {"id": self._id, "created": self._created}

    def _event(self, chunk: Chunk, *, facts: bool = False) -> bytes:
        body = {**chunk.body, **self._identity()}
        if self._include_usage:
            body["usage"] = None
        if facts and chunk.facts:
            body["glyph"] = chunk.facts
        return sse.event(encode(body))


class PlainAnswer:
    """A client that asked for one object."""

    __slots__ = ("_base", "_id", "_logprob_bytes", "_logprobs", "_parts")

    def __init__(self, answer_id: str) -> None:
        self._id = answer_id
        self._base: Json | None = None
        self._parts: list[str] = []
        self._logprobs: list[bytes] = []  # as JSON: the objects would take ten times as much
        self._logprob_bytes = 0

    def opening(self, chunk: Chunk) -> bytes:
        """Keep what the first attempt says about itself."""
        if self._base is None:
            self._id = answer_id(chunk.body, self._id)
            self._base = {**chunk.body, "id": self._id, "object": "chat.completion"}
            self._base.pop("choices", None)
            if chunk.facts:
                self._base["glyph"] = chunk.facts
        return b""

    def progress(self, chunk: Chunk) -> bytes:
        """Gather the text and the log probabilities."""
        if chunk.text:
            self._parts.append(chunk.text)
        if chunk.logprobs:
            entries = encode(chunk.logprobs)[1:-1]
            self._logprob_bytes += len(entries)
            if self._logprob_bytes > LOGPROB_BYTES:
                raise _too_much()
            self._logprobs.append(entries)
        return b""

    def complete(self, chunk: Chunk) -> bytes:
        """The whole answer."""
        self.progress(chunk)
        choice = {
            "index": 0,
            "message": {"role": "assistant", "content": "".join(self._parts)},
            "finish_reason": chunk.finish_reason,
        }
        logprobs = b"null"
        if self._logprobs:
            logprobs = b'{"content":[%s],"refusal":null}' % b",".join(self._logprobs)
        head = encode({**(self._base or {}), "usage": chunk.usage})[:-1]
        return b'%s,"choices":[%s,"logprobs":%s}]}' % (head, encode(choice)[:-1], logprobs)

    def restart(self) -> bool:
        """Always possible: nothing was sent."""
        self._base = None
        self._parts = []
        self._logprobs = []
        self._logprob_bytes = 0
        return True


def _too_much() -> RefusedError:
    limit = LOGPROB_BYTES // 2**20
    detail = f"the log probabilities of this answer exceed {limit} MiB; ask for fewer, or a stream"
    return RefusedError(problem("invalid_request", detail, param="top_logprobs"))


def answer_id(body: Json, default: str) -> str:
    """The worker's id if it is one, else the gateway's own."""
    given = body.get("id")
    return given if isinstance(given, str) and given.startswith("chatcmpl-") else default
