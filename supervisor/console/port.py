"""What console and control API need from the supervisor; the daemon implements it."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class RestartAnswer:
    """What became of a request to restart: the decision's identifier, or why it was denied."""

    accepted: bool
    decision: str
    reason: str


class SupervisorPort(Protocol):
    """The supervisor, seen from the outside. Calls return at once and never touch a device."""

    def status(self) -> dict[str, object]:
        """The status object of `docs/wire.md` section 6."""

    def events(self, *, limit: int, after: int) -> list[dict[str, object]]:
        """At most `limit`, oldest first: the newest if `after` is 0, else those of a higher id."""

    async def restart(self, worker: str, *, reason: str, actor: str) -> RestartAnswer:
        """Order a restart of one worker, or of `all` one after the other."""

    def stop(self, *, reason: str, drain: bool) -> None:
        """Begin to stop everything; a second call without drain cuts the first one short."""

    def handover(self) -> None:
        """Leave gateway and workers serving when the supervisor is asked to exit within 60 s."""
