"""Who may use the console: one-time login links, sessions, CSRF tokens, a limit on attempts.

Everything lives in memory: a new supervisor knows no session, and people take a new link. Secrets
are 256 random bits; only their SHA-256 is kept, and it is the key of a dictionary, so comparing
takes the same time whatever was guessed.
"""

import hashlib
import hmac
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

_V = TypeVar("_V")

_MAX_LINKS = 16
_MAX_SESSIONS = 64
_ATTEMPTS = 10
_ATTEMPT_REFILL_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Session:
    """One login: what its forms must carry, and when it ends on the monotonic clock."""

    csrf_token: str
    expires_at: float


class Sessions:
    """Links that log in once and the sessions they open; not safe for several threads."""

    def __init__(
        self,
        *,
        link_seconds: float,
        session_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._link_seconds = link_seconds
        self._session_seconds = session_seconds
        self._clock = clock
        self._links: dict[bytes, float] = {}
        self._sessions: dict[bytes, Session] = {}
        self._attempts = float(_ATTEMPTS)
        self._attempts_at = clock()

    def login_link(self, console_url: str) -> str:
        """A fresh link below `console_url` that opens one session if used in time."""
        token = secrets.token_urlsafe(32)
        self._forget_expired()
        _make_room(self._links, _MAX_LINKS)
        self._links[_digest(token)] = self._clock() + self._link_seconds
        return f"{console_url.rstrip('/')}/login?once={token}"

    def attempt_delay_seconds(self) -> float:
        """Count one attempt to log in: 0 if it may go on, else how long to wait first."""
        now = self._clock()
        refill = (now - self._attempts_at) / _ATTEMPT_REFILL_SECONDS
        self._attempts = min(float(_ATTEMPTS), self._attempts + refill)
        self._attempts_at = now
        if self._attempts < 1:
            return (1 - self._attempts) * _ATTEMPT_REFILL_SECONDS
        self._attempts -= 1
        return 0.0

    def open(self, link_token: str) -> str | None:
        """Use up a link; the cookie value of the new session, or None if the link is not valid."""
        self._forget_expired()
        if self._links.pop(_digest(link_token), None) is None:
            return None
        cookie = secrets.token_urlsafe(32)
        _make_room(self._sessions, _MAX_SESSIONS)
        self._sessions[_digest(cookie)] = Session(
            csrf_token=secrets.token_urlsafe(32), expires_at=self._clock() + self._session_seconds
        )
        return cookie

    def find(self, cookie: str | None) -> Session | None:
        """The living session of this cookie value."""
        if not cookie:
            return None
        session = self._sessions.get(_digest(cookie))
        return session if session and session.expires_at > self._clock() else None

    def close(self, cookie: str) -> None:
        """End a session; an unknown one is no error."""
        self._sessions.pop(_digest(cookie), None)

    def _forget_expired(self) -> None:
        now = self._clock()
        self._links = {key: at for key, at in self._links.items() if at > now}
        self._sessions = {key: s for key, s in self._sessions.items() if s.expires_at > now}


def same_token(expected: str, given: str) -> bool:
    """Compare two tokens without telling by the time taken where they differ."""
    return hmac.compare_digest(expected.encode(), given.encode("utf-8", "replace"))


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()


def _make_room(table: dict[bytes, _V], limit: int) -> None:
    """Drop the oldest entries of an insertion-ordered table until one more fits."""
    while len(table) >= limit:
        del table[next(iter(table))]
