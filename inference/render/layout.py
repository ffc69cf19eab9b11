"""Text to lines: Pango decides where they break; nothing is assumed about what it laid out.

Pango's time grows with the square of a paragraph's length, so long paragraphs are given to it in
pieces of some sixteen lines. The last line of a piece may be cut short by the piece's end: it is
thrown away and the next piece begins where it began. Only characters without width (a letter with a
thousand accents) make a piece of one line: it is kept, so that such a text cannot cost more.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from ctypes import byref
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from inference.render import pango
from inference.render.flow import MARKER, Paragraph, paragraphs
from inference.render.style import Style

_LINES_PER_PIECE = 16
_RED = (0xFFFF, 0, 0)
# Hebrew to Arabic, their presentation forms, ancient scripts, and the direction marks.
_RIGHT_TO_LEFT = re.compile(
    "[\u0590-\u08ff\u200f\u202b\u202e\u2067\ufb1d-\ufdff\ufe70-\ufeff\U00010800-\U00010fff"
    "\U0001e800-\U0001efff]"
)


@dataclass(frozen=True, slots=True)
class Line:
    """One laid-out line; valid until the next one is taken."""

    handle: int
    """Address of the PangoLayoutLine; 0 for an empty line."""
    x_px: float
    """Distance from the left margin."""
    first_character: int
    characters: int
    """Characters laid out here, the line break behind them included."""
    missing_glyphs: int


@dataclass(frozen=True, slots=True)
class Run:
    """A Pango line inside its piece: byte range and address."""

    handle: int
    start: int
    end: int


class LineBreaker:
    """Breaks texts into lines for one style. Use as a context manager, on one thread at a time."""

    def __init__(self, style: Style) -> None:
        self._api = pango.library()
        self._style = style
        self._piece_characters = int(
            _LINES_PER_PIECE * (style.text_width_px / style.font_size_px + 1)
        )
        self._context = self._api.new_context(style.language)
        self._font = self._new_font(style)
        self._layout = self._new_layout(style)
        self.baseline_px = self._baseline_px(style)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._api.gobject.g_object_unref(self._layout)
        self._api.pango.pango_font_description_free(self._font)
        self._api.gobject.g_object_unref(self._context)

    def lines(self, text: str) -> Iterator[Line]:
        """The lines of `text` in order. Each is valid only until the next one is asked for."""
        has_direction = _RIGHT_TO_LEFT.search(text) is not None
        for paragraph in paragraphs(text, self._style.newline):
            direction = self._direction(paragraph.display) if has_direction else pango.LEFT_TO_RIGHT
            self._api.pango.pango_context_set_base_dir(self._context, direction)
            yield from self._paragraph_lines(paragraph, direction)

    def _paragraph_lines(self, paragraph: Paragraph, direction: int) -> Iterator[Line]:
        first = paragraph.first_character
        if not paragraph.display:
            yield Line(0, 0.0, first, paragraph.ending, 0)
            return
        position, length = 0, len(paragraph.display)
        while position < length:
            piece, runs = self._next_piece(paragraph, position)
            some_missing = self._api.pango.pango_layout_get_unknown_glyphs_count(self._layout) > 0
            for run in runs:
                drawn_before = paragraph.source(position)
                position += len(piece[run.start : run.end].decode())
                characters = paragraph.source(position) - drawn_before
                if position == length:
                    characters += paragraph.ending
                yield Line(
                    run.handle,
                    self._x_px(run, direction),
                    first + drawn_before,
                    characters,
                    self._missing_glyphs(run) if some_missing else 0,
                )

    def _next_piece(self, paragraph: Paragraph, position: int) -> tuple[bytes, list[Run]]:
        """The text given to Pango from `position` on, and those of its lines that are final."""
        end = position + self._piece_characters
        text = paragraph.display[position:end]
        piece = text.encode()
        self._set_markers(paragraph, position, text)
        self._api.pango.pango_layout_set_text(self._layout, piece, len(piece))
        runs = self._runs()
        return piece, runs if end >= len(paragraph.display) or len(runs) == 1 else runs[:-1]

    def _runs(self) -> list[Run]:
        found: list[Run] = []
        node = self._api.pango.pango_layout_get_lines_readonly(self._layout)
        while node:
            handle = node.contents.data
            line = pango.LayoutLine.from_address(handle)
            found.append(Run(handle, line.start_index, line.start_index + line.length))
            node = node.contents.next
        return found

    def _set_markers(self, paragraph: Paragraph, position: int, text: str) -> None:
        if not paragraph.markers:
            return
        api = self._api.pango
        colours = api.pango_attr_list_new()
        for start, end in _marker_bytes(paragraph, position, text):
            red = api.pango_attr_foreground_new(*_RED)
            red.contents.start_index, red.contents.end_index = start, end
            api.pango_attr_list_insert(colours, red)
        api.pango_layout_set_attributes(self._layout, colours)
        api.pango_attr_list_unref(colours)

    def _missing_glyphs(self, run: Run) -> int:
        missing = 0
        node = pango.LayoutLine.from_address(run.handle).runs
        while node:
            glyphs = pango.GlyphItem.from_address(node.contents.data).glyphs.contents
            missing += sum(
                bool(glyphs.glyphs[index].glyph & pango.UNKNOWN_GLYPH)
                for index in range(glyphs.num_glyphs)
            )
            node = node.contents.next
        return missing

    def _x_px(self, run: Run, direction: int) -> float:
        if direction == pango.LEFT_TO_RIGHT:
            return 0.0
        box = pango.Rectangle()
        self._api.pango.pango_layout_line_get_extents(run.handle, None, byref(box))
        width_px: float = box.width / pango.SCALE
        return self._style.text_width_px - width_px

    def _direction(self, display: str) -> int:
        raw = display.encode()
        found = self._api.pango.pango_find_base_dir(raw, len(raw))
        return pango.RIGHT_TO_LEFT if found == pango.RIGHT_TO_LEFT else pango.LEFT_TO_RIGHT

    def _new_font(self, style: Style) -> int:
        api = self._api.pango
        font: int = api.pango_font_description_new()
        api.pango_font_description_set_family(font, ",".join(style.font_families).encode())
        api.pango_font_description_set_absolute_size(font, style.font_size_px * pango.SCALE)
        return font

    def _new_layout(self, style: Style) -> int:
        api = self._api.pango
        layout: int = api.pango_layout_new(self._context)
        api.pango_layout_set_font_description(layout, self._font)
        api.pango_layout_set_width(layout, style.text_width_px * pango.SCALE)
        api.pango_layout_set_wrap(layout, pango.WRAP_WORD_OR_CHARACTER)
        api.pango_layout_set_auto_dir(layout, 0)
        return layout

    def _baseline_px(self, style: Style) -> float:
        """From the top of a line to its baseline: the first font's box, centred in the line."""
        api = self._api.pango
        metrics = api.pango_context_get_metrics(self._context, self._font, None)
        ascent = api.pango_font_metrics_get_ascent(metrics) / pango.SCALE
        descent = api.pango_font_metrics_get_descent(metrics) / pango.SCALE
        api.pango_font_metrics_unref(metrics)
        return float((style.line_height_px - ascent - descent) / 2 + ascent)


def _marker_bytes(paragraph: Paragraph, position: int, text: str) -> Iterator[tuple[int, int]]:
    """Byte ranges of the markers (whole or cut by the piece's ends) inside a piece."""
    counted = counted_bytes = 0
    for marker in paragraph.markers_between(position, position + len(text)):
        start = max(0, marker - position)
        end = min(len(text), marker - position + len(MARKER))
        counted_bytes += len(text[counted:start].encode())
        yield counted_bytes, counted_bytes + end - start
        counted_bytes += end - start
        counted = end


def missing_families(families: tuple[str, ...]) -> tuple[str, ...]:
    """Those of the font families that are not installed; Pango would silently take others."""
    return tuple(name for name in families if not pango.library().has_family(name))
