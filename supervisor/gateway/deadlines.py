"""The two deadlines of a request: admission to last byte, and time inside workers."""

from dataclasses import dataclass


@dataclass(slots=True)
class Deadlines:
    """Monotonic seconds; `service_left_seconds` is carried from one attempt to the next."""

    total_at: float
    service_left_seconds: float
    started_at: float | None = None

    def start(self, now: float) -> float:
        """An attempt begins; the time at which it must be over for the service deadline."""
        self.started_at = now
        return now + self.service_left_seconds

    def stop(self, now: float) -> None:
        """The attempt is over."""
        if self.started_at is not None:
            self.service_left_seconds -= now - self.started_at
            self.started_at = None

    def remaining_seconds(self, now: float) -> float:
        """Seconds until the total deadline, not below 0."""
        return max(0.0, self.total_at - now)
