"""The journal of one request: what was accepted so far, and the fence around it.

A token is accepted only from the epoch the request now runs on and only if it is the next one; its
text only if it joins on to the text released before. Whatever a dead, late or confused worker
sends, the answer has no gap and no repeat.
"""

from dataclasses import dataclass, field
from enum import Enum

from supervisor.gateway.wire import Chunk, Json


class Fence(Enum):
    """What the journal says to a chunk."""

    ACCEPTED = "accepted"
    STALE_EPOCH = "stale epoch"
    WRONG_INDEX = "wrong index"
    WRONG_TEXT = "text does not join on"
    OTHER_FINGERPRINT = "another fingerprint"


@dataclass(slots=True)
class Journal:
    """Token ids and text length of one answer, over all attempts."""

    token_ids: list[int] = field(default_factory=list)
    text_bytes: int = 0
    epoch: str | None = None
    fingerprint: str | None = None

    def begin(self, epoch: str) -> None:
        """From now on only this epoch's tokens are accepted."""
        self.epoch = epoch

    def accept(self, chunk: Chunk) -> Fence:
        """Take the chunk's tokens and text, or nothing of it."""
        if chunk.epoch != self.epoch:
            return Fence.STALE_EPOCH
        if self.token_ids and chunk.fingerprint != self.fingerprint:
            return Fence.OTHER_FINGERPRINT
        if chunk.index != len(self.token_ids):
            return Fence.WRONG_INDEX
        if chunk.text_bytes != self.text_bytes + len(chunk.text.encode("utf-8", "replace")):
            return Fence.WRONG_TEXT
        self.token_ids.extend(chunk.token_ids)
        self.text_bytes = chunk.text_bytes
        self.fingerprint = chunk.fingerprint
        return Fence.ACCEPTED

    def resume_members(self) -> Json:
        """Members of `glyph` that make a worker go on from here; none at the beginning."""
        if not self.token_ids:
            return {}
        return {
            "resume_token_ids": self.token_ids,
            "resume_text_bytes": self.text_bytes,
            "fingerprint": self.fingerprint,
        }

    def restart(self) -> None:
        """Forget everything: the answer is computed again from its beginning."""
        self.token_ids = []
        self.text_bytes = 0
        self.fingerprint = None
