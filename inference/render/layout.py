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
from functools import lru_cache
from types import TracebackType
from typing import Self

from inference.render import pango
from inference.render.flow import Paragraph, paragraphs
from inference.render.normalise import LINE_BREAK, normalise
from inference.render.simple import LARGEST_WINDOW, SMALLEST_WINDOW, GlyphRow, SimpleBreaker
from inference.render.style import Style
from inference.render.units import NoFontError

_LINES_PER_PIECE = 16
# Hebrew to Arabic, their presentation forms, ancient scripts, and the direction marks.
_RIGHT_TO_LEFT = re.compile(
    "[\u0590-\u08ff\u200f\u202b\u202e\u2067\ufb1d-\ufdff\ufe70-\ufeff\U00010800-\U00010fff"
    "\U0001e800-\U0001efff]"
)


@dataclass(frozen=True, slots=True)
class Line:
    """One laid-out line; valid until the next one is taken."""

    handle: int
    """Address of the PangoLayoutLine; 0 for an empty line or one with a `row`."""
    x_px: float
    """Distance from the left margin."""
    first_character: int
    characters: int
    """Characters laid out here, the line break behind them included."""
    missing: str = ""
    """Characters no font has, once for each box drawn instead."""
    width_px: float = 0.0
    """Width of the text; only measured where the style needs it."""
    row: GlyphRow | None = None
    """The glyphs, where they were found without Pango's layout."""

    @property
    def missing_glyphs(self) -> int:
        """Boxes drawn for characters no font has."""
        return len(self.missing)


@dataclass(frozen=True, slots=True)
class Run:
    """A Pango line inside its piece: byte range and address."""

    handle: int
    start: int
    end: int


@lru_cache(maxsize=8)
def _simple_breaker(
    families: tuple[str, ...],
    size_px: float,
    language: str,
    fonts_added: int,  # noqa: ARG001 - part of the key
) -> SimpleBreaker | None:
    # with every font file added Pango makes its fonts anew, and what was kept of the old is useless
    try:
        return SimpleBreaker(families, size_px, language)
    except NoFontError:
        return None  # Pango draws its empty boxes, and counts them


class LineBreaker:
    """Breaks texts into lines for one style. Use as a context manager, on one thread at a time.

    With `simple` False all lines are laid out by Pango; they are the same, only later.
    """

    def __init__(self, style: Style, simple: bool = True) -> None:
        self._api = pango.library()
        self._style = style
        line_characters = style.text_width_px / style.font_size_px + 1
        self._piece_characters = int(_LINES_PER_PIECE * line_characters)
        # More than a line even of the narrowest letters.
        self._line_characters = int(8 * line_characters)
        self._context = self._api.new_context(style.language)
        self._font = self._api.new_font(style.font_families, style.font_size_px)
        self._layout = self._new_layout(style)
        self._marker_colour = [round(part * 0xFFFF) for part in style.newline_colour]
        self._simple: SimpleBreaker | None = None
        plain = style.newline == "break" and style.alignment == "left"
        if simple and plain and style.horizontal_scale == 1:
            self._simple = _simple_breaker(
                style.font_families, style.font_size_px, style.language, self._api.fonts_added
            )
        self.baseline_px = _baseline_px(style)

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
        if self._simple and not has_direction:
            yield from self._quick_lines(self._simple, normalise(text))
            return
        for paragraph in paragraphs(text, self._style.newline, self._style.newline_marker):
            direction = self._direction(paragraph.display) if has_direction else pango.LEFT_TO_RIGHT
            self._api.pango.pango_context_set_base_dir(self._context, direction)
            yield from self._paragraph_lines(paragraph, direction)

    def _quick_lines(self, simple: SimpleBreaker, text: str) -> Iterator[Line]:
        """Simple lines as long as there are any, then a line or paragraph by Pango, and again."""
        self._api.pango.pango_context_set_base_dir(self._context, pango.LEFT_TO_RIGHT)
        position, window = 0, LARGEST_WINDOW
        while position < len(text):
            found, rest = simple.lines(text, position, self._style.text_width_px, window)
            # What follows a line in doubt is laid out again: as much as pays, no more.
            window = SMALLEST_WINDOW if rest == "line" else min(2 * window, LARGEST_WINDOW)
            for line in found:
                width = float(line.width_px)
                yield Line(0, 0.0, position, line.characters, "", width, line.row)
                position += line.characters
            if rest == "line":
                only = next(self._paragraph_lines(self._beginning(text, position), 0))
                yield only
                position += only.characters
            elif rest == "paragraph":
                ending = LINE_BREAK.search(text, position)
                start, end = ending.span() if ending else (len(text), len(text))
                paragraph = Paragraph(text[position:start], position, end - start)
                yield from self._paragraph_lines(paragraph, pango.LEFT_TO_RIGHT)
                position = end

    def _beginning(self, text: str, position: int) -> Paragraph:
        """Enough of a paragraph to see where its first line ends."""
        display = text[position : position + self._line_characters]
        ending = LINE_BREAK.search(display)
        if ending is None:
            return Paragraph(display, position, 0)
        start, end = ending.span()
        return Paragraph(display[:start], position, end - start)

    def _paragraph_lines(self, paragraph: Paragraph, direction: int) -> Iterator[Line]:
        first = paragraph.first_character
        if not paragraph.display:
            yield Line(0, 0.0, first, paragraph.ending)
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
                x_px, width_px = self._place(run, direction)
                missing = _missing(run) if some_missing else ""
                yield Line(run.handle, x_px, first + drawn_before, characters, missing, width_px)

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
            attribute = api.pango_attr_foreground_new(*self._marker_colour)
            attribute.contents.start_index, attribute.contents.end_index = start, end
            api.pango_attr_list_insert(colours, attribute)
        api.pango_layout_set_attributes(self._layout, colours)
        api.pango_attr_list_unref(colours)

    def _place(self, run: Run, direction: int) -> tuple[float, float]:
        """Distance of a line from the left margin, and its width where that is needed."""
        style = self._style
        rightward = direction == pango.LEFT_TO_RIGHT
        if rightward and style.alignment in ("left", "justify") and not style.crop_width:
            return 0.0, 0.0
        box = pango.Rectangle()
        self._api.pango.pango_layout_line_get_extents(run.handle, None, byref(box))
        width: float = box.width / pango.SCALE
        free = style.text_width_px - width
        if free < 0 and rightward:
            return 0.0, width  # what does not fit is space, hanging out on the right
        if style.alignment == "center" and free > 0:
            return free / 2, width
        return (0.0 if rightward and style.alignment != "right" else free), width

    def _direction(self, display: str) -> int:
        raw = display.encode()
        found = self._api.pango.pango_find_base_dir(raw, len(raw))
        return pango.RIGHT_TO_LEFT if found == pango.RIGHT_TO_LEFT else pango.LEFT_TO_RIGHT

    def _new_layout(self, style: Style) -> int:
        layout = self._api.new_layout(self._context, self._font)
        api = self._api.pango
        api.pango_layout_set_width(layout, style.text_width_px * pango.SCALE)
        api.pango_layout_set_wrap(layout, pango.WRAP_WORD_OR_CHARACTER)
        api.pango_layout_set_justify(layout, style.alignment == "justify")
        return layout


@lru_cache(maxsize=64)
def _baseline_px(style: Style) -> float:
    """From the top of a line to its baseline: the first font's box, centred in the line."""
    api = pango.library()
    context = api.new_context(style.language)
    font = api.new_font(style.font_families, style.font_size_px)
    metrics = api.pango.pango_context_get_metrics(context, font, None)
    ascent = api.pango.pango_font_metrics_get_ascent(metrics) / pango.SCALE
    descent = api.pango.pango_font_metrics_get_descent(metrics) / pango.SCALE
    api.pango.pango_font_metrics_unref(metrics)
    api.pango.pango_font_description_free(font)
    api.gobject.g_object_unref(context)
    return float((style.line_height_px - ascent - descent) / 2 + ascent)


def _marker_bytes(paragraph: Paragraph, position: int, text: str) -> Iterator[tuple[int, int]]:
    """Byte ranges of the markers (whole or cut by the piece's ends) inside a piece."""
    counted = counted_bytes = 0
    for marker in paragraph.markers_between(position, position + len(text)):
        start = max(0, marker - position)
        end = min(len(text), marker - position + len(paragraph.marker))
        counted_bytes += len(text[counted:start].encode())
        yield counted_bytes, (counted_bytes := counted_bytes + len(text[start:end].encode()))
        counted = end


def _missing(run: Run) -> str:
    """The characters of a line no font has; Pango keeps them in the numbers of such glyphs."""
    found: list[str] = []
    node = pango.LayoutLine.from_address(run.handle).runs
    while node:
        glyphs = pango.GlyphItem.from_address(node.contents.data).glyphs.contents
        numbers = (glyphs.glyphs[index].glyph for index in range(glyphs.num_glyphs))
        found += (
            chr(number & ~pango.UNKNOWN_GLYPH) for number in numbers if number & pango.UNKNOWN_GLYPH
        )
        node = node.contents.next
    return "".join(found)
