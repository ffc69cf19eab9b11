"""Token ids to text as it may be shown: whole characters only, and nothing of a stop string.

Both hold text back until later tokens decide. Replaying the ids of an earlier attempt restores
their state exactly, since it is a function of the ids alone.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterable, Sequence

Piece = Callable[[int], bytes]
"""UTF-8 bytes of a token."""


class StopMatcher:
    """Finds the first of several stop strings in a text that arrives bit by bit.

    First is the one that is complete first, wherever the borders of the bits are.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stops)
        self._held = ""
        self.matched = False

    def push(self, text: str) -> str:
        """Text that can be shown now; what could begin a stop string is held back."""
        if self.matched:
            return ""
        if not self._stops:
            return text
        self._held += text
        found = [(at + len(stop), at) for stop in self._stops if (at := self._held.find(stop)) >= 0]
        if found:
            self.matched = True
            return self._take(min(found)[1], drop=True)
        return self._take(len(self._held) - self._beginning())

    def flush(self) -> str:
        """What was held back, at the end of the answer."""
        return "" if self.matched else self._take(len(self._held))

    def _take(self, count: int, drop: bool = False) -> str:
        taken, self._held = self._held[:count], "" if drop else self._held[count:]
        return taken

    def _beginning(self) -> int:
        """Length of the longest end of the held text that begins a stop string."""
        longest = max((len(stop) for stop in self._stops), default=1) - 1
        for length in range(min(longest, len(self._held)), 0, -1):
            end = self._held[-length:]
            if any(stop.startswith(end) for stop in self._stops):
                return length
        return 0


class AnswerText:
    """The text of one answer, growing with its tokens."""

    def __init__(self, piece: Piece, stops: Sequence[str], end_ids: frozenset[int]) -> None:
        self._piece = piece
        self._end_ids = end_ids
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._stops = StopMatcher(stops)
        self.ended = False
        """A stop string or an end token has been seen."""
        self.released_bytes = 0
        """UTF-8 bytes of all text released."""

    def push(self, token_id: int) -> str:
        """Text released by one more token; everything left when the token ends the answer."""
        if token_id in self._end_ids:
            self.ended = True
            return self.finish()
        text = self._stops.push(self._decoder.decode(self._piece(token_id)))
        self.ended = self._stops.matched
        return self._release(text)

    def finish(self) -> str:
        """Text still held back; bytes that never became a character turn into U+FFFD."""
        rest = self._stops.push(self._decoder.decode(b"", True))
        return self._release(rest + self._stops.flush())

    def replay(self, token_ids: Iterable[int]) -> str:
        """Push ids of an earlier attempt; the text they release."""
        return "".join([self.push(token_id) for token_id in token_ids])

    def _release(self, text: str) -> str:
        self.released_bytes += len(text.encode())
        return text
