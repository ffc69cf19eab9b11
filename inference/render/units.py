"""Glyphs of words, shaped by Pango once and kept.

A *unit* is what line breaking moves about as a whole: a word with the spaces behind it. It is
shaped behind a letter and a space, and kept only if it left them as they were (no kerning across
the space), is of one run in the same font and stands on whole pixels: then its glyphs are the same
wherever it appears.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Iterator
from ctypes import byref, string_at

import numpy as np
import numpy.typing as npt

from inference.render import pango

GLYPH = np.dtype([("index", "u8"), ("x", "f8"), ("y", "f8")])  # cairo_glyph_t
_INFO = np.dtype([("glyph", "u4"), ("width", "i4"), ("x", "i4"), ("y", "i4"), ("flags", "u4")])
_PLACES = ["glyph", "width", "x", "y"]
_BEFORE = "a "
_MOST_UNITS = 60_000
_LONGEST_UNIT = 200
LINE_BREAKS = ("\n", "\r\n")  # the first rows of the table
NOT_SIMPLE = -1

Integers = npt.NDArray[np.int64]
Glyphs = npt.NDArray[np.void]


class NoFontError(RuntimeError):
    """This machine has no font at all, so nothing can be kept of any."""


class Table:
    """Rows of glyphs by number, all of one font: the one that `before` is drawn with."""

    def __init__(self, context: int, font: int, before: str) -> None:
        self.api = api = pango.library()
        self._layout = api.new_layout(context, font)
        weakref.finalize(self, api.gobject.g_object_unref, self._layout)
        ((self._before, (self.font, *_)),) = self.shape([before])
        if not self.font:
            raise NoFontError
        api.gobject.g_object_ref(self.font)
        weakref.finalize(self, api.gobject.g_object_unref, self.font)
        self.scaled_font = int(api.pangocairo.pango_cairo_font_get_scaled_font(self.font))
        self.clear()

    def clear(self) -> None:
        """Forget all but the line breaks."""
        # start in the pool, number of glyphs, width, width of the last character if it is a space
        self.units: Integers = np.zeros((1024, 4), np.int64)
        self.glyphs: Glyphs = np.zeros(8192, GLYPH)
        self._used = self._glyphs_used = 0
        self._measured: set[int] = set()
        self.deepest_px = 0
        for line_break in LINE_BREAKS:
            self.store(line_break, np.zeros(0, _INFO))

    def are_before(self, infos: npt.NDArray[np.void]) -> npt.NDArray[np.bool_]:
        """Which of some glyphs are `before` (one glyph) in its place."""
        same = [infos[name] == self._before[name] for name in _PLACES]
        return np.asarray(np.logical_and.reduce(same))

    def are_simple(self, infos: npt.NDArray[np.void]) -> npt.NDArray[np.bool_]:
        """Which glyphs exist and stand on whole pixels, reading on to the right."""
        off_pixels = (infos["width"] | infos["x"] | infos["y"]) % pango.SCALE
        missing = infos["glyph"] & pango.UNKNOWN_GLYPH
        return np.asarray((off_pixels == 0) & (missing == 0) & (infos["width"] >= 0))

    def is_simple(self, infos: npt.NDArray[np.void]) -> bool:
        """Whether `before` and some glyphs stand beside each other as if they were alone."""
        count = len(self._before)
        own = infos[count:]
        if not len(own) or not self.are_before(infos[:count]).all():
            return False
        return bool(self.are_simple(own).all())

    def store(self, unit: str, infos: npt.NDArray[np.void]) -> int:
        """A new row; its number."""
        number, start, count = self._used, self._glyphs_used, len(infos)
        self._grow(number + 1, start + count)
        self._measure(infos)
        widths = infos["width"] // pango.SCALE
        place = self.glyphs[start : start + count]
        place["index"] = infos["glyph"]
        place["x"] = np.cumsum(widths) - widths + infos["x"] // pango.SCALE
        place["y"] = infos["y"] // pango.SCALE
        trailing = widths[-1] if count and unit[-1].isspace() else 0
        self.units[number] = start, count, widths.sum(), trailing
        self._used, self._glyphs_used = number + 1, start + count
        return number

    def store_each(
        self, infos: npt.NDArray[np.void], are_spaces: npt.NDArray[np.bool_]
    ) -> Integers:
        """A new row for each glyph; their numbers."""
        numbers = np.arange(self._used, self._used + len(infos))
        places = np.arange(self._glyphs_used, self._glyphs_used + len(infos))
        self._grow(self._used + len(infos), self._glyphs_used + len(infos))
        self._measure(infos)
        widths = infos["width"] // pango.SCALE
        self.glyphs["index"][places] = infos["glyph"]
        self.glyphs["x"][places] = infos["x"] // pango.SCALE
        self.glyphs["y"][places] = infos["y"] // pango.SCALE
        self.units[numbers, 0], self.units[numbers, 1] = places, 1
        self.units[numbers, 2], self.units[numbers, 3] = widths, widths * are_spaces
        self._used += len(infos)
        self._glyphs_used += len(infos)
        return numbers

    def _grow(self, units: int, glyphs: int) -> None:
        while units > len(self.units):
            self.units = np.concatenate((self.units, np.zeros_like(self.units)))
        while glyphs > len(self.glyphs):
            self.glyphs = np.concatenate((self.glyphs, np.zeros_like(self.glyphs)))

    def ink(self, info: npt.NDArray[np.void]) -> pango.Rectangle:
        """The ink of a glyph around its origin, in Pango units."""
        ink = pango.Rectangle()
        shared = self.api.pango
        shared.pango_font_get_glyph_extents(self.font, int(info["glyph"]), byref(ink), None)
        ink.x += int(info["x"])
        ink.y += int(info["y"])
        return ink

    def _measure(self, infos: npt.NDArray[np.void]) -> None:
        """Keep how far below the baseline any glyph's ink reaches."""
        for info, glyph, y in zip(infos, infos["glyph"].tolist(), infos["y"].tolist(), strict=True):
            if y or glyph not in self._measured:
                ink = self.ink(info)
                self.deepest_px = max(self.deepest_px, -(-(ink.y + ink.height) // pango.SCALE) + 1)
                self._measured.add(glyph)

    def shape(self, texts: Iterable[str]) -> Iterator[tuple[npt.NDArray[np.void], list[int]]]:
        """PangoGlyphInfos and fonts of each text, laid out as a paragraph of its own."""
        raw = "\n".join(texts).encode()
        self.api.pango.pango_layout_set_text(self._layout, raw, len(raw))
        node = self.api.pango.pango_layout_get_lines_readonly(self._layout)
        while node:
            yield _glyphs(node.contents.data)
            node = node.contents.next


class UnitTable(Table):
    """Units of Latin text in one set of fonts; not for two threads at once."""

    def __init__(self, context: int, font: int) -> None:
        super().__init__(context, font, _BEFORE)

    def clear(self) -> None:
        """Forget all units."""
        super().clear()
        self._ids = {line_break: number for number, line_break in enumerate(LINE_BREAKS)}

    def numbers(self, units: list[str]) -> list[int]:
        """The row in `units` of each unit; NOT_SIMPLE for what must be left to Pango."""
        known = self._ids
        try:
            return [known[unit] for unit in units]
        except KeyError:
            fresh = list(dict.fromkeys(unit for unit in units if unit not in known))
        if len(known) + len(fresh) > _MOST_UNITS:
            self.clear()
            fresh = [unit for unit in dict.fromkeys(units) if unit not in LINE_BREAKS]
        shapes = self.shape(_BEFORE + unit for unit in fresh)
        for unit, (infos, fonts) in zip(fresh, shapes, strict=True):
            simple = fonts == [self.font] and self.is_simple(infos) and len(unit) < _LONGEST_UNIT
            own = infos[len(_BEFORE) :]
            self._ids[unit] = self.store(unit, own) if simple else NOT_SIMPLE
        return [self._ids[unit] for unit in units]


def _glyphs(handle: int) -> tuple[npt.NDArray[np.void], list[int]]:
    fonts: list[int] = []
    raw = b""
    node = pango.LayoutLine.from_address(handle).runs
    while node:
        run = pango.GlyphItem.from_address(node.contents.data)
        string = run.glyphs.contents
        raw += string_at(string.glyphs, string.num_glyphs * _INFO.itemsize)
        fonts.append(run.item.contents.font)
        node = node.contents.next
    return np.frombuffer(raw, _INFO), fonts
