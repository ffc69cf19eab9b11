"""Text to pages, one at a time: memory is that of one page, however long the text."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass

from inference.render.layout import LineBreaker
from inference.render.raster import Canvas, Pixels
from inference.render.style import Style

# Pango's font map is shared and knows no threads. Held while one page is made, not between pages.
_LOCK = threading.Lock()


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


@dataclass(frozen=True, slots=True)
class PagePlan:
    """What rendering a text would give, found without drawing."""

    pages: int
    lines: int
    characters: int
    missing_glyphs: int


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
    """Lay `text` out without drawing it; takes about half the time of rendering."""
    lines = characters = missing_glyphs = 0
    with _LOCK, LineBreaker(style) as breaker:
        for line in breaker.lines(text):
            lines += 1
            characters += line.characters
            missing_glyphs += line.missing_glyphs
    return PagePlan(-(-lines // style.lines_per_page), lines, characters, missing_glyphs)


def count_pages(text: str, style: Style) -> int:
    """Pages that `text` fills."""
    return plan_pages(text, style).pages


def _draw_pages(text: str, style: Style) -> Iterator[Page]:
    with LineBreaker(style) as breaker:
        canvas: Canvas | None = None
        row = first = characters = missing_glyphs = 0
        for line in breaker.lines(text):
            if canvas is None:
                canvas = Canvas(style, breaker.baseline_px)
                row, first, characters, missing_glyphs = 0, line.first_character, 0, 0
            canvas.draw(line.handle, line.x_px, row)
            row += 1
            characters += line.characters
            missing_glyphs += line.missing_glyphs
            if row == style.lines_per_page:
                yield Page(canvas.pixels(), first, characters, missing_glyphs)
                canvas = None
        if canvas is not None:
            yield Page(canvas.pixels(), first, characters, missing_glyphs)
