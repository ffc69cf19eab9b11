"""The two deadlines of a request: admission to last byte, and time inside workers."""

from dataclasses import dataclass


@dataclass(slots=True)
class Patience:
    """How long a request may take in all (monotonic seconds), and what its client has seen."""

    total_at: float
    committed: bool = False
    """The status line was sent: from here on a failure is an event, not a status."""
    held: bool = False
    """It had to wait for a worker at least once."""


@dataclass(slots=True)
class ServiceTime:
    """What is left of the time inside workers; carried from one attempt to the next."""

    left_seconds: float
    started_at: float | None = None

    def start(self, now: float) -> float:
        """An attempt begins; the time at which it must be over."""
        self.started_at = now
        return now + self.left_seconds

    def stop(self, now: float) -> None:
        """The attempt is over."""
        if self.started_at is not None:
            self.left_seconds -= now - self.started_at
            self.started_at = None
