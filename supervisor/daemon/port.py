"""The supervisor as console, control API and command line see it."""

import asyncio
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field

from supervisor.console.port import RestartAnswer
from supervisor.core.effects import Reply
from supervisor.core.events import RestartAsked, StopAsked
from supervisor.core.model import Cause
from supervisor.core.restart import ROLLING
from supervisor.runtime import clock
from supervisor.runtime.reactor import Mailbox
from supervisor.store.journal import Journal

_HANDOVER_SECONDS = 60.0
_REPLY_SECONDS = 10.0


@dataclass(slots=True)
class Port:
    """The console's `SupervisorPort`: every call is a message to the reactor."""

    mailbox: Mailbox
    journal: Journal
    workers: tuple[str, ...]
    build_status: Callable[[], dict[str, object]]
    _replies: dict[str, asyncio.Future[Reply]] = field(default_factory=dict)
    _handover_until: float = 0.0

    def status(self) -> dict[str, object]:
        """The status object of `docs/wire.md` section 6."""
        return self.build_status()

    def events(self, *, limit: int, after: int) -> list[dict[str, object]]:
        """Oldest first: the newest `limit` if `after` is 0, else the next ones after that id."""
        return self.journal.events(limit=limit, after=after)

    async def restart(self, worker: str, *, reason: str, actor: str) -> RestartAnswer:
        """Order a restart of one worker, or of `all` one after the other."""
        if worker == "all":
            return await self._restart_all(reason, actor)
        if worker not in self.workers:
            return RestartAnswer(False, "", f"there is no worker {worker}")
        return await self._ask(worker, reason, actor)

    async def _restart_all(self, reason: str, actor: str) -> RestartAnswer:
        asked = [self._ask(name, reason, f"{ROLLING}{actor}") for name in self.workers]
        answers = await asyncio.gather(*asked)
        accepted = [answer for answer in answers if answer.accepted]
        denied = [answer.reason for answer in answers if not answer.accepted]
        return RestartAnswer(
            bool(accepted), (accepted or answers)[0].decision, "; ".join(denied) or "restarting"
        )

    async def _ask(self, worker: str, reason: str, actor: str) -> RestartAnswer:
        decision = uuid.uuid4().hex[:16]
        future = asyncio.get_running_loop().create_future()
        self._replies[decision] = future
        self.mailbox.post(
            RestartAsked(clock.now(), worker, decision, Cause.OPERATOR, reason, actor)
        )
        try:
            async with asyncio.timeout(_REPLY_SECONDS):
                reply: Reply = await future
        except TimeoutError:
            return RestartAnswer(False, decision, "the supervisor is too busy to decide")
        finally:
            del self._replies[decision]
        return RestartAnswer(reply.accepted, reply.decision, reply.reason)

    def reply(self, effect: Reply) -> None:
        """The core has decided."""
        future = self._replies.get(effect.decision)
        if future is not None and not future.done():
            future.set_result(effect)

    def stop(self, *, reason: str, drain: bool) -> None:
        """Begin to stop everything; a second call cuts the drain of the first one short."""
        self.mailbox.post(StopAsked(clock.now(), drain, reason))

    def handover(self) -> None:
        """Leave gateway and workers serving when asked to exit within 60 s."""
        self._handover_until = clock.now() + _HANDOVER_SECONDS

    @property
    def handing_over(self) -> bool:
        """Whether a handover was announced less than 60 s ago."""
        return clock.now() < self._handover_until
