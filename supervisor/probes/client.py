"""HTTP to a child over its Unix socket, and what a failure to reach it means."""

import asyncio
import errno
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx

from supervisor.core.events import Outcome

TERM_HEADER = "Glyph-Term"
_ANSWER_BYTES = 1 << 20


class BrokenAnswerError(Exception):
    """Somebody answered, but not in HTTP, not to the end, or more than could be meant."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer."""

    status: int
    body: bytes

    @property
    def is_success(self) -> bool:
        """Whether the child did what it was asked."""
        return 200 <= self.status < 300


async def ask(
    socket: Path,
    method: str,
    path: str,
    body: Mapping[str, object] | None = None,
    *,
    term: int,
    timeout_seconds: float,
) -> Answer:
    """One small request and its whole answer, on a connection of its own.

    An HTTP/1.0 exchange (RFC 1945: no chunks, the end of the connection ends the body) costs a
    sixth of the processor time that a general client needs, several times a second for ever.
    Raises TimeoutError, OSError and BrokenAnswerError.
    """
    content = b"" if body is None else json.dumps(body).encode()
    head = (
        f"{method} {path} HTTP/1.0\r\nHost: child\r\n{TERM_HEADER}: {term}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
    )
    async with asyncio.timeout(timeout_seconds):
        reader, writer = await asyncio.open_unix_connection(str(socket), limit=_ANSWER_BYTES)
        try:
            writer.write(head.encode("ascii") + content)
            return await _read(reader)
        finally:
            writer.close()


async def _read(reader: asyncio.StreamReader) -> Answer:
    try:
        status_line, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        version, status = status_line.split(" ")[:2]
        if not version.startswith("HTTP/1."):
            raise BrokenAnswerError(version)
        fields = {name.lower(): value for name, _, value in (line.partition(":") for line in lines)}
        length = int(fields["content-length"]) if "content-length" in fields else None
        if length is not None and length <= _ANSWER_BYTES:
            return Answer(int(status), await reader.readexactly(length))
        if length is not None:
            raise BrokenAnswerError(f"{length} bytes are too many")
        return Answer(int(status), await _until_end(reader))
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError) as error:
        raise BrokenAnswerError(str(error)) from None


async def _until_end(reader: asyncio.StreamReader) -> bytes:
    body = bytearray()
    while part := await reader.read(_ANSWER_BYTES):
        body += part
        if len(body) > _ANSWER_BYTES:
            raise BrokenAnswerError(f"more than {_ANSWER_BYTES} bytes")
    return bytes(body)


def open_client(socket: Path, term: int) -> httpx.AsyncClient:
    """A client of one child for a streamed answer: a connection is never kept over generations."""
    return httpx.AsyncClient(
        transport=httpx.AsyncHTTPTransport(uds=str(socket), verify=False),
        base_url="http://child",
        headers={TERM_HEADER: str(term)},
        timeout=None,  # callers hold one deadline over the whole exchange
        trust_env=False,
    )


def outcome_of(error: OSError | BrokenAnswerError) -> Outcome:
    """Refused: dead, or not there yet. A broken answer: failed. Anything else proves nothing."""
    if isinstance(error, BrokenAnswerError):
        return Outcome.FAILED
    if error.errno in (errno.ECONNREFUSED, errno.ENOENT):
        return Outcome.REFUSED
    return Outcome.UNKNOWN
