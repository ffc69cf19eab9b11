"""Which requests are suspected of killing workers.

Only counted deaths weigh (the worker died by itself, as the supervisor's verdict says), progress
clears, and whoever is suspected runs alone before it is condemned: the others in the batch of a
dying worker are innocent.
"""

from dataclasses import dataclass, field

CLEARING_TOKENS = 64
"""New tokens after a counted death that clear a request."""

DEATHS_BEFORE_ALONE = 2
"""Counted deaths after which a request runs alone."""


@dataclass(slots=True)
class Suspicion:
    """The counted deaths one request was part of."""

    deaths: int = 0
    tokens_at_death: int = 0
    condemned: bool = False
    unsettled: list[tuple[str, bool]] = field(default_factory=list)

    @property
    def alone(self) -> bool:
        """Whether the request must run alone now."""
        return self.deaths >= DEATHS_BEFORE_ALONE

    def lost(self, epoch: str, alone: bool) -> None:
        """The request was in this epoch when it was lost; the verdict may come later."""
        self.unsettled.append((epoch, alone))

    def progress(self, tokens: int) -> bool:
        """The answer has so many tokens now; True if that has just cleared the request."""
        if not self.deaths or tokens - self.tokens_at_death < CLEARING_TOKENS:
            return False
        self.deaths = 0
        return True

    def settle(self, verdicts: dict[str, bool], tokens: int) -> None:
        """Weigh the deaths whose verdict (epoch -> counted) is known."""
        waiting = []
        for epoch, alone in self.unsettled:
            if epoch not in verdicts:
                waiting.append((epoch, alone))
            elif verdicts[epoch]:
                self.deaths += 1
                self.tokens_at_death = tokens
                self.condemned = self.condemned or alone
        self.unsettled = waiting
