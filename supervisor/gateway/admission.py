"""How much the gateway takes on, and when it tells a client to come back."""

import math
from collections import deque
from dataclasses import dataclass

MIN_RETRY_SECONDS = 1
MAX_RETRY_SECONDS = 60
UNKNOWN_RETRY_SECONDS = 5
"""`Retry-After` while nothing was measured yet."""


@dataclass(slots=True)
class Admission:
    """Bytes and waiting requests kept, against their bounds."""

    max_waiting: int
    max_bytes: int
    bytes_kept: int = 0

    def reserve(self, count: int) -> bool:
        """Keep so many more bytes; False, and nothing kept, if the bound does not allow it."""
        if self.bytes_kept + count > self.max_bytes:
            return False
        self.bytes_kept += count
        return True

    def release(self, count: int) -> None:
        """The bytes are no longer kept."""
        self.bytes_kept -= count

    def may_wait(self, waiting: int) -> bool:
        """Whether one more request may wait beside `waiting` others."""
        return waiting < self.max_waiting


class DrainRate:
    """How fast requests leave, from the last ones that did."""

    __slots__ = ("_left_at", "_window_seconds")

    def __init__(self, window_seconds: float = 60.0) -> None:
        self._left_at: deque[float] = deque(maxlen=64)
        self._window_seconds = window_seconds

    def note(self, now: float) -> None:
        """One request was completed at this monotonic time."""
        self._left_at.append(now)

    def per_second(self, now: float) -> float | None:
        """Requests per second over the window; None while fewer than two are known."""
        recent = [at for at in self._left_at if now - at <= self._window_seconds]
        if len(recent) < 2 or now <= recent[0]:
            return None
        return len(recent) / (now - recent[0])

    def retry_after_seconds(self, waiting: int, now: float, ready_in: float | None) -> int:
        """`Retry-After` for a client behind `waiting` others.

        `ready_in`: expected seconds until a worker is ready, None if nobody knows.
        """
        rate = self.per_second(now)
        if rate is None and ready_in is None:
            return UNKNOWN_RETRY_SECONDS
        seconds = (ready_in or 0.0) + ((waiting + 1) / rate if rate else 0.0)
        return min(MAX_RETRY_SECONDS, max(MIN_RETRY_SECONDS, math.ceil(seconds)))
