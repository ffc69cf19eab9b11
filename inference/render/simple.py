"""The fast way for simple text: greedy line breaking over words that Pango has shaped before.

Latin text is cut into words with the spaces behind them (`units.py`). Where lines may break is
still asked of Pango; which glyphs stand where is looked up, and a window of many paragraphs is laid
out in a few array operations. The result is the one Pango would give, to the pixel; whatever could
make it differ (a break inside a word, another script, a glyph no font has) ends the window, and the
caller lays out what follows with Pango itself. That takes half of Pango's time. Chinese gains
nothing this way: its units are single characters, and Pango is as fast.
"""

from __future__ import annotations

import re
import weakref
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np

from inference.render import pango
from inference.render.units import LINE_BREAKS, NOT_SIMPLE, Glyphs, Integers, UnitTable

SMALLEST_WINDOW, LARGEST_WINDOW = 512, 8192  # characters laid out at once
_LINE_BREAK_BIT = 1  # is_line_break of PangoLogAttr

_LETTERS = "A-Za-zÀ-ÖØ-öø-ÿ"
_CHARACTERS = f"[ -~\n‘’“”–—…{_LETTERS}]*"
_LATIN = re.compile(f"{_CHARACTERS}(?:\r\n{_CHARACTERS})*")
_UNIT = re.compile("\r?\n|[^ \r\n]+ *| +")
# A paragraph without a letter is of no script, which may change its kerning.
_LETTERLESS = re.compile(f"(?:^|\n)([^{_LETTERS}\r\n]+)(?:\r?\n|$)")

Rest = Literal["again", "line", "paragraph"]
"""What to do after some lines: ask for more, or lay out a line or the whole paragraph oneself."""


@dataclass(frozen=True, slots=True)
class GlyphRow:
    """The glyphs of one line, from x 0 and the baseline y 0."""

    glyphs: Glyphs
    scaled_font: int
    """Address of the cairo_scaled_font_t."""


@dataclass(frozen=True, slots=True)
class SimpleLine:
    """A line found without Pango's layout."""

    characters: int
    """Its line break included."""
    width_px: int
    """Up to the end of its last character; a space there is left off."""
    row: GlyphRow | None
    """None for an empty line."""


@dataclass(frozen=True, slots=True)
class _Window:
    """Units of a text with sums over them; all lists have one more entry than there are units."""

    rows: Integers
    """What the table says of each unit."""
    characters: list[int]
    widths: list[int]
    fits: list[int]
    """Width up to a boundary, the space before it (which may hang out) left off."""
    last_break: list[int]
    """The last boundary up to here at which a line may end."""
    breaks: list[int]
    """Number of places before this boundary where a line may end, inside of units too."""
    newlines: list[int]
    """Units that are line breaks, ascending, and the end."""


class SimpleBreaker:
    """Lines of simple text in one set of fonts; not for two threads at once."""

    def __init__(self, families: tuple[str, ...], size_px: float, language: str) -> None:
        self._api = api = pango.library()
        self._language = api.pango.pango_language_from_string(language.encode())
        context = api.new_context(language)
        font = api.new_font(families, size_px)
        weakref.finalize(self, api.gobject.g_object_unref, context)
        weakref.finalize(self, api.pango.pango_font_description_free, font)
        self._table = UnitTable(context, font)

    def lines(
        self, text: str, position: int, width_px: int, window_characters: int
    ) -> tuple[Iterator[SimpleLine], Rest]:
        """Lines from `position`, a line's beginning, as far as the window goes; may be none."""
        stop = position + window_characters
        found = _LATIN.match(text, position, stop)
        end = found.end() if found else position
        open_end = end == stop < len(text) and text[end - 1] != "\n"
        if end < min(stop, len(text)):
            end = max(position, text.rfind("\n", position, end) + 1)
        window = text[position:end]
        if letterless := _LETTERLESS.search(window):
            window, open_end = window[: letterless.start(1)], False
        return self._window_lines(window, width_px, open_end)

    def _window_lines(
        self, text: str, width_px: int, open_end: bool
    ) -> tuple[Iterator[SimpleLine], Rest]:
        units = _UNIT.findall(text)
        numbers = self._table.numbers(units)
        if NOT_SIMPLE in numbers:
            count = numbers.index(NOT_SIMPLE)
            while count and numbers[count - 1] >= len(LINE_BREAKS):
                count -= 1
            units, numbers = units[:count], numbers[:count]
            text, open_end = "".join(units), False
        if not units:
            return iter(()), "paragraph"
        window = self._measure(units, np.array(numbers), text)
        ends = _break(window, width_px)
        whole = bool(ends) and ends[-1] == len(units)
        if whole and open_end:
            ends.pop()
        if not ends:
            return iter(()), "paragraph" if whole else "line"
        return _assemble(self._table, window, ends), "again" if whole else "line"

    def _measure(self, units: list[str], numbers: Integers, text: str) -> _Window:
        rows = self._table.units[numbers]
        characters = _sums(np.fromiter(map(len, units), np.int64, len(units)))
        widths = _sums(rows[:, 2])
        fits = widths.copy()
        fits[1:] -= rows[:, 3]
        breaks = self._break_places(text)
        places = np.arange(len(units) + 1)
        last_break = np.maximum.accumulate(np.where(breaks[characters], places, 0))
        newlines = np.flatnonzero(numbers < len(LINE_BREAKS)).tolist()
        return _Window(
            rows,
            characters.tolist(),
            widths.tolist(),
            fits.tolist(),
            last_break.tolist(),
            _sums(breaks)[characters].tolist(),
            [*newlines, len(units)],
        )

    def _break_places(self, text: str) -> Integers:
        """1 for each character before which a line may end, and for the end."""
        raw = text.encode()
        places = np.empty(len(text) + 1, np.uint32)
        self._api.pango.pango_get_log_attrs(
            raw, len(raw), 0, self._language, places.ctypes.data, len(places)
        )
        return (places & _LINE_BREAK_BIT).astype(np.int64)


def _break(window: _Window, width_px: int) -> list[int]:
    """Unit numbers at which lines end (line breaks included); fewer if Pango must decide."""
    ends: list[int] = []
    fits, widths, breaks = window.fits, window.widths, window.breaks
    count = len(window.rows)
    start = 0
    for newline in window.newlines:
        while True:
            room = widths[start] + width_px
            full = bisect_right(fits, room, start + 1, newline + 1) - 1
            if full == newline:
                break
            end = window.last_break[full]
            if end <= start or breaks[full + 1] - breaks[end] > 1:
                return ends
            ends.append(end)
            start = end
        start = min(newline + 1, count)
        if not ends or ends[-1] < start:
            ends.append(start)
    return ends


def _assemble(table: UnitTable, window: _Window, ends: list[int]) -> Iterator[SimpleLine]:
    """The glyphs of whole lines, looked up and put in their places at once."""
    rows = window.rows[: ends[-1]]
    counts = rows[:, 1]
    glyph_sums = _sums(counts)
    picked = np.repeat(rows[:, 0] - glyph_sums[:-1], counts)
    picked += np.arange(len(picked))
    glyphs, font = table.glyphs[picked], table.scaled_font
    widths = np.array(window.widths[: ends[-1]])
    starts = [0, *ends[:-1]]
    widths -= np.repeat(widths[starts], np.diff(ends, prepend=0))
    glyphs["x"] += np.repeat(widths, counts)
    bounds = glyph_sums[[0, *ends]].tolist()
    for start, end, first, last in zip(starts, ends, bounds, bounds[1:], strict=False):
        yield SimpleLine(
            window.characters[end] - window.characters[start],
            window.fits[end] - window.widths[start],
            GlyphRow(glyphs[first:last], font) if last > first else None,
        )


def _sums(values: Integers) -> Integers:
    """0, and the sum of the first, the first two, … of `values`."""
    sums = np.zeros(len(values) + 1, np.int64)
    np.cumsum(values, out=sums[1:])
    return sums
