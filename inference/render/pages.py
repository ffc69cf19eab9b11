"""Text to pages, one at a time: memory is that of one page, however long the text."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from inference.render.layout import Line, LineBreaker
from inference.render.raster import Canvas, Pixels
from inference.render.style import Style

# Pango's font map is shared and knows no threads. Held while one page is made, not between pages.
_LOCK = threading.Lock()
_MOST_MISSING = 64


@dataclass(frozen=True, slots=True)
class Page:
    """A drawn page and the part of the text that is on it."""

    pixels: Pixels
    """(height, width, 3) uint8, red green blue."""
    first_character: int
    characters: int
    """Characters laid out on this page, counted from Pango's lines."""
    missing_glyphs: int
    """Glyphs drawn as a box because no font has them."""
    missing_characters: str = ""
    """The characters behind them, each once, in order; the first 64."""


@dataclass(frozen=True, slots=True)
class PagePlan:
    """What rendering a text would give, found without drawing."""

    pages: int
    lines: int
    characters: int
    missing_glyphs: int
    missing_characters: str = ""
    """The characters no font has, each once, in order; the first 64."""
    sizes: tuple[tuple[int, int], ...] = ()
    """Width and height of every page in pixels."""


def render_pages(text: str, style: Style) -> Iterator[Page]:
    """The pages of `text` in order; none for the empty text.

    May be called from any thread; only one page is made at a time. Raises PangoUnavailableError.
    """
    drawing = _draw_pages(text, style)
    while True:
        with _LOCK:
            page = next(drawing, None)
        if page is None:
            return
        yield page


def plan_pages(text: str, style: Style) -> PagePlan:
    """Lay `text` out without drawing it; takes about half the time of rendering.

    Others may render between its pages. Raises PangoUnavailableError.
    """
    lines = characters = missing_glyphs = 0
    missing = ""
    sizes: list[tuple[int, int]] = []
    planning = _plan_pages(text, style)
    while True:
        with _LOCK:
            sheet = next(planning, None)
        if sheet is None:
            return PagePlan(len(sizes), lines, characters, missing_glyphs, missing, tuple(sizes))
        lines += sheet.lines
        characters += sheet.characters
        missing_glyphs += sheet.missing_glyphs
        missing = distinct(missing + sheet.missing)
        sizes.append(sheet.size(style, len(text)))


def count_pages(text: str, style: Style) -> int:
    """Pages that `text` fills."""
    return plan_pages(text, style).pages


def distinct(characters: str) -> str:
    """Each character once, in order; the first 64."""
    return "".join(dict.fromkeys(characters))[:_MOST_MISSING]


class _Sheet:
    """What is on a page so far."""

    def __init__(self, first_character: int) -> None:
        self.first_character = first_character
        self.lines = self.characters = self.missing_glyphs = 0
        self.missing = ""
        self._right_px = 0.0

    def add(self, line: Line, style: Style) -> None:
        """Count a line in."""
        if style.crop_width:
            column = self.lines // style.lines_per_column
            left = column * (style.text_width_px + style.column_gap_px)
            self._right_px = max(self._right_px, left + line.x_px + line.width_px)
        self.lines += 1
        self.characters += line.characters
        if line.missing:
            self.missing_glyphs += len(line.missing)
            self.missing = distinct(self.missing + line.missing)

    def size(self, style: Style, text_characters: int) -> tuple[int, int]:
        """Width and height of the page, when it has all its lines."""
        is_last = self.first_character + self.characters == text_characters
        return style.page_size(self.lines, self._right_px, is_last)

    def page(self, canvas: Canvas, style: Style, text_characters: int) -> Page:
        """The drawn page."""
        pixels = canvas.pixels(*self.size(style, text_characters))
        return Page(
            pixels, self.first_character, self.characters, self.missing_glyphs, self.missing
        )


def _plan_pages(text: str, style: Style) -> Iterator[_Sheet]:
    with LineBreaker(style) as breaker:
        sheet: _Sheet | None = None
        for line in breaker.lines(text):
            sheet = sheet or _Sheet(line.first_character)
            sheet.add(line, style)
            if sheet.lines == style.lines_per_page:
                yield sheet
                sheet = None
        if sheet is not None:
            yield sheet


@lru_cache(maxsize=2)
def _canvas(style: Style, baseline_px: float) -> Canvas:
    """A page to draw on, used again: nothing is on it for longer than the lock is held."""
    return Canvas(style, baseline_px)


def _draw_pages(text: str, style: Style, simple: bool = True) -> Iterator[Page]:
    with LineBreaker(style, simple) as breaker:
        sheet = canvas = None
        for line in breaker.lines(text):
            if sheet is None or canvas is None:
                sheet = _Sheet(line.first_character)
                canvas = _canvas(style, breaker.baseline_px)
                canvas.clear()
            canvas.draw(line, sheet.lines)
            sheet.add(line, style)
            if sheet.lines == style.lines_per_page:
                yield sheet.page(canvas, style, len(text))
                sheet = None
        if sheet is not None and canvas is not None:
            yield sheet.page(canvas, style, len(text))
