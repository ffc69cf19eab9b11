"""Text to paragraphs, and the way back from what is displayed to what was sent.

With the newline style `break` a paragraph is what lies between two line breaks. With `red-marker`
the whole text is one paragraph in which every line break is displayed as a marker, usually ` \\n `
(a space, a backslash, the letter n, a space), as Glyph's own renderer does.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from inference.render.normalise import LINE_BREAK, normalise

MARKER = " \\n "  # the usual one


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Text to be laid out in one go; positions are characters."""

    display: str
    """What is drawn; has no line breaks."""
    first_character: int
    """Position of the first character in the text that was sent."""
    ending: int
    """Characters of the line break that follows (0, 1, or 2 for \\r\\n)."""
    markers: tuple[int, ...] = ()
    """Where markers begin in `display`, ascending."""
    marker_sources: tuple[tuple[int, int], ...] = ()
    """Start and end of the line break behind each marker, counted like `source`."""
    marker: str = MARKER

    def source(self, display_position: int) -> int:
        """Characters of the sent paragraph that are drawn before a position of `display`.

        A marker stands for its line break as soon as its first character is drawn.
        """
        index = bisect_left(self.markers, display_position) - 1
        if index < 0:
            return display_position
        rest = display_position - self.markers[index] - len(self.marker)
        return self.marker_sources[index][1] + max(0, rest)

    def markers_between(self, start: int, end: int) -> tuple[int, ...]:
        """Markers of which some character lies in start..end of `display`."""
        first = bisect_left(self.markers, start - len(self.marker) + 1)
        return self.markers[first : bisect_left(self.markers, end)]


def paragraphs(
    text: str, newline: Literal["break", "red-marker"], marker: str = MARKER
) -> Iterator[Paragraph]:
    """The paragraphs of `text` in order; every character belongs to exactly one of them."""
    drawable = normalise(text)
    if newline == "red-marker":
        if drawable:
            yield _marked(drawable, marker)
        return
    start = 0
    for ending in LINE_BREAK.finditer(drawable):
        yield Paragraph(drawable[start : ending.start()], start, ending.end() - ending.start())
        start = ending.end()
    if start < len(drawable):
        yield Paragraph(drawable[start:], start, 0)


def _marked(text: str, marker: str) -> Paragraph:
    pieces: list[str] = []
    markers: list[int] = []
    sources: list[tuple[int, int]] = []
    start = displayed = 0
    for ending in LINE_BREAK.finditer(text):
        displayed += ending.start() - start
        markers.append(displayed)
        sources.append((ending.start(), ending.end()))
        displayed += len(marker)
        pieces += text[start : ending.start()], marker
        start = ending.end()
    pieces.append(text[start:])
    return Paragraph("".join(pieces), 0, 0, tuple(markers), tuple(sources), marker)
