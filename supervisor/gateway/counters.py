"""What the gateway counts, for `/health` and for the supervisor."""

from dataclasses import dataclass, field

MAX_CODES = 64
"""Distinct error codes counted by name; workers name their own, the rest is `other`."""


@dataclass(slots=True)
class Counters:
    """Requests since the process began."""

    requests: int = 0
    completed: int = 0
    cancelled: int = 0
    cut: int = 0
    replayed: int = 0
    resumed: int = 0
    held: int = 0
    longest_gap_seconds: float = 0.0
    failed: dict[str, int] = field(default_factory=dict)

    def fail(self, code: str) -> None:
        """One request failed with this code."""
        if code not in self.failed and len(self.failed) >= MAX_CODES:
            code = "other"
        self.failed[code] = self.failed.get(code, 0) + 1

    def again(self, *, resumed: bool) -> None:
        """A request goes on after its worker was lost: where it stood, or from its beginning."""
        if resumed:
            self.resumed += 1
        else:
            self.replayed += 1

    def gap(self, seconds: float) -> None:
        """A request waited so long because its worker was lost or taken away."""
        self.longest_gap_seconds = max(self.longest_gap_seconds, seconds)

    def snapshot(self) -> dict[str, int | dict[str, int]]:
        """The counts as they are published."""
        return {
            "requests": self.requests,
            "completed": self.completed,
            "cancelled": self.cancelled,
            "cut": self.cut,
            "replayed": self.replayed,
            "resumed": self.resumed,
            "held": self.held,
            "failed": dict(self.failed),
        }
