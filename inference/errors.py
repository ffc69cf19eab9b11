"""Errors of a request: one table, one exception, one body.

The body has the members of RFC 9457 (problem details) and OpenAI's `error` object, because client
libraries of either school read only their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

PROBLEM_CONTENT_TYPE = "application/problem+json"


@dataclass(frozen=True, slots=True)
class ErrorKind:
    """What one error code means on the wire."""

    status: int
    """HTTP status."""
    title: str
    """The same short sentence for every occurrence (RFC 9457 section 3.1.3)."""
    openai_type: str
    """`error.type`, in OpenAI's vocabulary."""
    retryable: bool
    """The same request may succeed later or elsewhere."""


_CLIENT = "invalid_request_error"
_SERVER = "server_error"

ERRORS: Mapping[str, ErrorKind] = MappingProxyType(
    {
        "invalid_request": ErrorKind(422, "The request is not valid", _CLIENT, False),
        "unsupported": ErrorKind(422, "This is not supported", _CLIENT, False),
        "context_length_exceeded": ErrorKind(413, "The prompt is too long", _CLIENT, False),
        "body_too_large": ErrorKind(413, "The body is too large", _CLIENT, False),
        "queue_full": ErrorKind(429, "Too many requests are waiting", "rate_limit_error", True),
        "draining": ErrorKind(503, "The worker is draining", _SERVER, True),
        "loading": ErrorKind(503, "The model is loading", _SERVER, True),
        "fingerprint_mismatch": ErrorKind(409, "Another model began this answer", _CLIENT, False),
        "deadline_exceeded": ErrorKind(504, "The deadline has passed", "timeout_error", True),
        "engine_error": ErrorKind(500, "The engine failed", _SERVER, True),
    }
)


class RequestError(Exception):
    """A request is refused or has failed; `code` is a key of ERRORS.

    `detail` is for the client: it says what was wrong with this request. `param` names the member
    of the body that is to blame, in OpenAI's notation (`messages[0].content`).
    """

    def __init__(self, code: str, detail: str, param: str | None = None) -> None:
        super().__init__(f"{code}: {detail}")
        self.kind = ERRORS[code]
        self.code = code
        self.detail = detail
        self.param = param

    @property
    def status(self) -> int:
        """HTTP status of the answer."""
        return self.kind.status

    def openai_error(self) -> dict[str, str | None]:
        """OpenAI's `error` object; also the payload of an error event inside a stream."""
        return {
            "message": self.detail,
            "type": self.kind.openai_type,
            "code": self.code,
            "param": self.param,
        }

    def body(self) -> dict[str, object]:
        """The whole answer, to be sent as PROBLEM_CONTENT_TYPE with `status`."""
        return {
            "type": f"urn:glyph:error:{self.code}",
            "title": self.kind.title,
            "status": self.kind.status,
            "detail": self.detail,
            "code": self.code,
            "error": self.openai_error(),
        }
