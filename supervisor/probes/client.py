"""HTTP to a child over its Unix socket, and what a failure to reach it means."""

import errno
from pathlib import Path

import httpx

from supervisor.core.events import Outcome

TERM_HEADER = "Glyph-Term"


def open_client(socket: Path, term: int) -> httpx.AsyncClient:
    """A client of one child for one look: a connection is never kept over generations."""
    return httpx.AsyncClient(
        transport=httpx.AsyncHTTPTransport(uds=str(socket), verify=False),
        base_url="http://child",
        headers={TERM_HEADER: str(term)},
        timeout=None,  # callers hold one deadline over the whole exchange
        trust_env=False,
    )


def outcome_of(error: httpx.HTTPError) -> Outcome:
    """Refused: dead, or not there yet. A broken answer: failed. Anything else proves nothing."""
    numbers = set(_error_numbers(error))
    if numbers & {errno.ECONNREFUSED, errno.ENOENT}:
        return Outcome.REFUSED
    if isinstance(error, httpx.TimeoutException):
        return Outcome.TIMEOUT
    if isinstance(error, httpx.RemoteProtocolError | httpx.DecodingError):
        return Outcome.FAILED
    return Outcome.UNKNOWN


def _error_numbers(error: BaseException | None) -> "list[int]":
    found: list[int] = []
    for _ in range(10):
        if error is None:
            break
        if isinstance(error, OSError) and error.errno is not None:
            found.append(error.errno)
        error = error.__cause__ or error.__context__
    return found
