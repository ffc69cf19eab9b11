"""The fast way for simple text: greedy line breaking over what Pango has shaped before.

Latin text is cut into words with the spaces behind them (`units.py`), Chinese text into characters
(`chars.py`). Where lines may break is still asked of Pango; which glyphs stand where is looked up,
and a window of many paragraphs is laid out in a few array operations. The result is the one Pango
would give, to the pixel; whatever could make it differ (a break inside a word, another script in
the paragraph, a glyph no font has) ends the window, and the caller lays out what follows with Pango
itself. Laying out takes a third of Pango's time this way.
"""

from __future__ import annotations

import re
import weakref
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from inference.render import pango
from inference.render.chars import PUNCTUATION, CharacterTable
from inference.render.units import LINE_BREAKS, NOT_SIMPLE, Integers, Table, UnitTable

SMALLEST_WINDOW, LARGEST_WINDOW = 512, 8192  # characters laid out at once
_LINE_BREAK_BIT = 1  # is_line_break of PangoLogAttr

_LETTERS = "A-Za-zÀ-ÖØ-öø-ÿ"
_CHARACTERS = f"[ -~\n‘’“”–—…{_LETTERS}]*"
_LATIN = re.compile(f"{_CHARACTERS}(?:\r\n{_CHARACTERS})*")
_UNIT = re.compile("\r?\n|[^ \r\n]+ *| +")
# A paragraph without a letter is of no script, which may change its kerning.
_LETTERLESS = re.compile(f"(?:^|\n)([^{_LETTERS}\r\n]+)(?:\r?\n|$)")
_CHINESE = re.compile(f"[\n\u4e00-\u9fa5{re.escape(PUNCTUATION)}]*")
# Of no script either: that of a paragraph is the one of its ideographs.
_WITHOUT_IDEOGRAPH = re.compile("(?:^|\n)([^\u4e00-\u9fa5\n]+)(?:\n|$)")

Rest = Literal["again", "line", "paragraph"]
"""What to do after some lines: ask for more, or lay out a line or the whole paragraph oneself."""


@dataclass(frozen=True, slots=True)
class GlyphRow:
    """The glyphs of one line, from x 0 and the baseline y 0."""

    places: npt.NDArray[np.float64]
    """(glyphs, 2): x and y of each, a view of `address`."""
    address: int
    """Where the glyphs are, as cairo_glyph_t."""
    scaled_font: int
    """Address of the cairo_scaled_font_t."""
    deepest_px: int
    """No ink is further below the baseline."""


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
        self._words = UnitTable(context, font)
        self._characters = CharacterTable(context, font)

    def lines(
        self, text: str, position: int, width_px: int, window_characters: int
    ) -> tuple[Iterator[SimpleLine], Rest]:
        """Lines from `position`, a line's beginning, as far as the window goes; may be none."""
        stop = position + window_characters
        table: Table
        if (end := _reach(_CHINESE, text, position, stop)) > position:
            window, open_end = _cut(text, position, end, stop, _WITHOUT_IDEOGRAPH)
            numbers = self._characters.numbers(window)
            lengths, table = np.ones(len(numbers), np.int64), self._characters
        elif (end := _reach(_LATIN, text, position, stop)) > position:
            window, open_end = _cut(text, position, end, stop, _LETTERLESS)
            units = _UNIT.findall(window)
            numbers = np.array(self._words.numbers(units), np.int64)
            lengths, table = np.fromiter(map(len, units), np.int64, len(units)), self._words
        else:
            return iter(()), "paragraph"
        if (complex_units := np.flatnonzero(numbers == NOT_SIMPLE)).size:
            newlines = np.flatnonzero(numbers[: complex_units[0]] < len(LINE_BREAKS))
            count = int(newlines[-1]) + 1 if newlines.size else 0
            numbers, lengths = numbers[:count], lengths[:count]
            window, open_end = window[: int(lengths.sum())], False
        if not len(numbers):
            return iter(()), "paragraph"
        measured = self._measure(table.units[numbers], numbers, lengths, window)
        ends = _break(measured, width_px)
        whole = bool(ends) and ends[-1] == len(numbers)
        if whole and open_end:
            ends.pop()
        if not ends:
            return iter(()), "paragraph" if whole else "line"
        return _assemble(table, measured, ends), "again" if whole else "line"

    def _measure(self, rows: Integers, numbers: Integers, lengths: Integers, text: str) -> _Window:
        characters = _sums(lengths)
        widths = _sums(rows[:, 2])
        fits = widths.copy()
        fits[1:] -= rows[:, 3]
        breaks = self._break_places(text)
        places = np.arange(len(numbers) + 1)
        last_break = np.maximum.accumulate(np.where(breaks[characters], places, 0))
        newlines = np.flatnonzero(numbers < len(LINE_BREAKS)).tolist()
        return _Window(
            rows,
            characters.tolist(),
            widths.tolist(),
            fits.tolist(),
            last_break.tolist(),
            _sums(breaks)[characters].tolist(),
            [*newlines, len(numbers)],
        )

    def _break_places(self, text: str) -> Integers:
        """1 for each character before which a line may end, and for the end."""
        raw = text.encode()
        places = np.empty(len(text) + 1, np.uint32)
        self._api.pango.pango_get_log_attrs(
            raw, len(raw), 0, self._language, places.ctypes.data, len(places)
        )
        return (places & _LINE_BREAK_BIT).astype(np.int64)


def _reach(characters: re.Pattern[str], text: str, position: int, stop: int) -> int:
    found = characters.match(text, position, stop)
    return found.end() if found else position


def _cut(
    text: str, position: int, end: int, stop: int, foreign: re.Pattern[str]
) -> tuple[str, bool]:
    """Whole paragraphs of one script, and whether the last one goes on behind the window."""
    open_end = end == stop < len(text) and text[end - 1] != "\n"
    if end < min(stop, len(text)):
        end = max(position, text.rfind("\n", position, end) + 1)
    window = text[position:end]
    if paragraph := foreign.search(window):
        return window[: paragraph.start(1)], False
    return window, open_end


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


def _assemble(table: Table, window: _Window, ends: list[int]) -> Iterator[SimpleLine]:
    """The glyphs of whole lines, looked up and put in their places at once."""
    rows = window.rows[: ends[-1]]
    counts = rows[:, 1]
    glyph_sums = _sums(counts)
    picked = np.repeat(rows[:, 0] - glyph_sums[:-1], counts)
    picked += np.arange(len(picked))
    glyphs = table.glyphs[picked]
    places = glyphs.view(np.float64).reshape(-1, 3)[:, 1:]
    widths = np.array(window.widths[: ends[-1]])
    starts = [0, *ends[:-1]]
    widths -= np.repeat(widths[starts], np.diff(ends, prepend=0))
    places[:, 0] += np.repeat(widths, counts)
    address, size = glyphs.ctypes.data, glyphs.itemsize
    font, deepest = table.scaled_font, table.deepest_px
    bounds = glyph_sums[[0, *ends]].tolist()
    for start, end, first, last in zip(starts, ends, bounds, bounds[1:], strict=False):
        at = address + first * size
        row = GlyphRow(places[first:last], at, font, deepest) if last > first else None
        characters = window.characters[end] - window.characters[start]
        yield SimpleLine(characters, window.fits[end] - window.widths[start], row)


def _sums(values: Integers) -> Integers:
    """0, and the sum of the first, the first two, … of `values`."""
    sums = np.zeros(len(values) + 1, np.int64)
    np.cumsum(values, out=sums[1:])
    return sums
