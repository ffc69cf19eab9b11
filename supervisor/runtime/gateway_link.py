"""What the gateway must know, said again until it knows it (docs/wire.md, section 5)."""

import asyncio
import logging
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from supervisor.probes.client import BrokenAnswerError, ask
from supervisor.runtime import clock

_LOG = logging.getLogger(__name__)
_RESEND_SECONDS = 3.0
_RETRY_SECONDS = 0.2
_CALL_SECONDS = 3.0
_MESSAGE_SECONDS = 10.0
_MESSAGES = 256

Table = list[dict[str, object]]


@dataclass(frozen=True, slots=True)
class Peer:
    """The gateway generation that is in charge now."""

    epoch: str
    control: Path


@dataclass(frozen=True, slots=True)
class _Message:
    path: str
    body: Mapping[str, object]
    until: float


class GatewayLink:
    """Level-triggered: the whole table goes out on every change, to every new gateway, and every
    few seconds.
    """

    def __init__(self, term: int) -> None:
        self._term = term
        self._peer: Peer | None = None
        self._table: Table = []
        self._wanted = 0
        self._known = -1
        self._messages: deque[_Message] = deque(maxlen=_MESSAGES)
        self._news = asyncio.Event()

    @property
    def synced(self) -> bool:
        """Whether the gateway has confirmed the newest table: only then its counts mean what we
        think.
        """
        return self._peer is not None and self._known == self._wanted

    def follow(self, peer: Peer | None) -> None:
        """Name the gateway to talk to; a new one is told everything."""
        if peer != self._peer:
            self._peer = peer
            self._change()

    def set_table(self, table: Table) -> None:
        """The desired workers, all of them."""
        self._table = table
        self._change()

    def expect(self, seconds: float | None) -> None:
        """When a worker should be ready."""
        self._say("/control/expect", {"ready_in_seconds": seconds})

    def move(self, epoch: str) -> None:
        """Requests of this epoch are to run elsewhere."""
        self._say("/control/move", {"epoch": epoch})

    def death(self, epoch: str, *, counted: bool, cause: str) -> None:
        """How an epoch died."""
        self._say("/control/death", {"epoch": epoch, "counted": counted, "cause": cause})

    async def run(self) -> None:
        """Talk until cancelled."""
        while True:
            self._news.clear()
            pause = _RESEND_SECONDS if await self._talk() else _RETRY_SECONDS
            try:
                async with asyncio.timeout(pause):
                    await self._news.wait()
            except TimeoutError:
                self._known = -1  # time to say it again

    async def _talk(self) -> bool:
        """Bring the gateway up to date; False when something is still to be said."""
        peer, wanted = self._peer, self._wanted
        if peer is None:
            return True
        if self._known != wanted:
            if not await call(peer.control, "PUT", "/control/workers", self._body(), self._term):
                return False
            self._known = wanted
        while self._messages:
            message = self._messages[0]
            said = await call(peer.control, "POST", message.path, message.body, self._term)
            if not said and clock.now() < message.until:
                return False
            self._messages.popleft()
        return self._known == self._wanted

    def _body(self) -> dict[str, object]:
        return {"workers": self._table}

    def _say(self, path: str, body: Mapping[str, object]) -> None:
        self._messages.append(_Message(path, body, clock.now() + _MESSAGE_SECONDS))
        self._news.set()

    def _change(self) -> None:
        self._wanted += 1
        self._news.set()


async def call(
    control: Path, method: str, path: str, body: Mapping[str, object], term: int
) -> bool:
    """One control call within a deadline; True when the gateway took it, refusals are logged."""
    try:
        answer = await ask(control, method, path, body, term=term, timeout_seconds=_CALL_SECONDS)
    except (OSError, BrokenAnswerError):  # a TimeoutError is an OSError
        return False
    if not answer.is_success:
        _LOG.error("the gateway answered %s to %s: %.200r", answer.status, path, answer.body)
    return answer.is_success
