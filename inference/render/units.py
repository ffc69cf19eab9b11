"""Glyphs of words, shaped by Pango once and kept.

A *unit* is what line breaking moves about as a whole: a word with the spaces behind it. It is
shaped behind a letter and a space, and kept only if it left them as they were (no kerning across
the space), is of one run in the same font and stands on whole pixels: then its glyphs are the same
wherever it appears.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Iterator
from ctypes import string_at

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


class UnitTable:
    """Units of Latin text in one set of fonts; not for two threads at once."""

    def __init__(self, context: int, font: int) -> None:
        self._api = api = pango.library()
        self._layout = api.new_layout(context, font)
        weakref.finalize(self, api.gobject.g_object_unref, self._layout)
        ((self._before, (self._font, *_)),) = self._shape([_BEFORE])
        api.gobject.g_object_ref(self._font)
        weakref.finalize(self, api.gobject.g_object_unref, self._font)
        self.scaled_font = int(api.pangocairo.pango_cairo_font_get_scaled_font(self._font))
        self._clear()

    def numbers(self, units: list[str]) -> list[int]:
        """The row in `units` of each unit; NOT_SIMPLE for what must be left to Pango."""
        known = self._ids
        try:
            return [known[unit] for unit in units]
        except KeyError:
            fresh = list(dict.fromkeys(unit for unit in units if unit not in known))
        if len(known) + len(fresh) > _MOST_UNITS:
            self._clear()
            fresh = [unit for unit in dict.fromkeys(units) if unit not in LINE_BREAKS]
        for unit, (infos, fonts) in zip(
            fresh, self._shape(map(_BEFORE.__add__, fresh)), strict=True
        ):
            simple = fonts == [self._font] and self._is_simple(infos) and len(unit) < _LONGEST_UNIT
            self._ids[unit] = (
                self._store(unit, infos[len(self._before) :]) if simple else NOT_SIMPLE
            )
        return [self._ids[unit] for unit in units]

    def _clear(self) -> None:
        """Forget all units."""
        self._ids: dict[str, int] = {}
        # start in the pool, number of glyphs, width, width of the last character if it is a space
        self.units: Integers = np.zeros((1024, 4), np.int64)
        self.glyphs: Glyphs = np.zeros(8192, GLYPH)
        self._used = self._glyphs_used = 0
        for line_break in LINE_BREAKS:
            self._ids[line_break] = self._store(line_break, np.zeros(0, _INFO))

    def _is_simple(self, infos: npt.NDArray[np.void]) -> bool:
        count = len(self._before)
        if len(infos) <= count or (infos[:count][_PLACES] != self._before[_PLACES]).any():
            return False
        own = infos[count:]
        on_whole_pixels = not ((own["width"] | own["x"] | own["y"]) % pango.SCALE).any()
        missing = (own["glyph"] & pango.UNKNOWN_GLYPH).any()
        return bool(on_whole_pixels and not missing and (own["width"] >= 0).all())

    def _store(self, unit: str, infos: npt.NDArray[np.void]) -> int:
        number, start, count = self._used, self._glyphs_used, len(infos)
        if number == len(self.units):
            self.units = np.concatenate((self.units, np.zeros_like(self.units)))
        if start + count > len(self.glyphs):
            self.glyphs = np.concatenate((self.glyphs, np.zeros_like(self.glyphs)))
        widths = infos["width"] // pango.SCALE
        place = self.glyphs[start : start + count]
        place["index"] = infos["glyph"]
        place["x"] = np.cumsum(widths) - widths + infos["x"] // pango.SCALE
        place["y"] = infos["y"] // pango.SCALE
        trailing = widths[-1] if unit[-1] == " " else 0
        self.units[number] = start, count, widths.sum(), trailing
        self._used, self._glyphs_used = number + 1, start + count
        return number

    def _shape(self, texts: Iterable[str]) -> Iterator[tuple[npt.NDArray[np.void], list[int]]]:
        """PangoGlyphInfos and fonts of each text, laid out as a paragraph of its own."""
        raw = "\n".join(texts).encode()
        self._api.pango.pango_layout_set_text(self._layout, raw, len(raw))
        node = self._api.pango.pango_layout_get_lines_readonly(self._layout)
        while node:
            yield _glyphs(node.contents.data)
            node = node.contents.next


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
