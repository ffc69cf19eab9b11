"""Errors towards clients: one object with the members of RFC 9457 and OpenAI's `error` member.

Without `error` the OpenAI libraries lose the message; without the other members everybody else
does.
"""

import json
from dataclasses import dataclass

from supervisor.gateway import sse

MEDIA_TYPE = "application/problem+json"

_TITLES = {
    "invalid_request": (422, "The request is not valid"),
    "body_too_large": (413, "The request body is too large"),
    "body_too_slow": (408, "The request body did not arrive in time"),
    "not_found": (404, "There is nothing here"),
    "method_not_allowed": (405, "This method is not offered here"),
    "overloaded": (503, "Too many requests are waiting"),
    "not_ready": (503, "No worker will be ready in time"),
    "stopping": (503, "The gateway is stopping"),
    "deadline_exceeded": (504, "The deadline of the request has passed"),
    "worker_lost": (502, "The worker was lost"),
    "fingerprint_mismatch": (502, "The model changed while it was answering"),
    "poison_request": (422, "The request makes workers die"),
    "stale_term": (409, "A newer supervisor is in command"),
    "internal_error": (500, "The gateway failed"),
}


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a request failed, in a form for every kind of client."""

    status: int
    code: str
    title: str
    detail: str
    param: str | None = None
    retry_after_seconds: int | None = None

    def _error(self) -> dict[str, str | None]:
        return {
            "message": self.detail,
            "type": _error_type(self.status),
            "code": self.code,
            "param": self.param,
        }

    def body(self) -> bytes:
        """The body of an answer whose status line can still tell the truth."""
        members = {
            "type": f"urn:glyph:problem:{self.code}",
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
            "error": self._error(),
        }
        return json.dumps(members, ensure_ascii=False).encode("utf-8", "replace")

    def late_event(self) -> bytes:
        """The event of a stream that already began; the body must be aborted behind it."""
        text = json.dumps({"error": self._error()}, ensure_ascii=False)
        return sse.event(text.encode("utf-8", "replace"))

    def headers(self) -> dict[str, str]:
        """Headers of the answer."""
        headers = {"content-type": MEDIA_TYPE, "cache-control": "no-store"}
        if self.retry_after_seconds is not None:
            headers["retry-after"] = str(self.retry_after_seconds)
        return headers


class RefusedError(Exception):
    """The request ends here with this problem."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.code)
        self.problem = problem


def _error_type(status: int) -> str:
    if status == 429:
        return "rate_limit_error"
    return "server_error" if status >= 500 else "invalid_request_error"


def problem(
    code: str, detail: str, *, param: str | None = None, retry_after_seconds: int | None = None
) -> Problem:
    """A problem of the gateway's own table; KeyError for a code that is not in it."""
    status, title = _TITLES[code]
    return Problem(status, code, title, detail, param, retry_after_seconds)


def from_worker(status: int, body: bytes) -> Problem:
    """The problem a worker answered with; whatever is missing in its body is filled in."""
    try:
        members = json.loads(body)
    except (ValueError, RecursionError):
        members = None
    if not isinstance(members, dict):
        members = {}
    error = members.get("error")
    if not isinstance(error, dict):
        error = {}
    detail = _text(error.get("message")) or _text(members.get("detail"))
    return Problem(
        status=status,
        code=_text(members.get("code")) or _text(error.get("code")) or "worker_error",
        title=_text(members.get("title")) or "The worker refused the request",
        detail=detail or f"the worker answered {status}",
        param=_text(error.get("param")),
    )


def _text(value: object) -> str | None:
    return value[:2000] if isinstance(value, str) and value else None
