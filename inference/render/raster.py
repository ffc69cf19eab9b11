"""One page of pixels: lines are drawn onto a cairo surface, which is handed over as an array."""

from __future__ import annotations

from io import BytesIO

import cairo
import numpy as np
import numpy.typing as npt

from inference.render import pango
from inference.render.layout import Line
from inference.render.simple import GlyphRow
from inference.render.style import Style

Pixels = npt.NDArray[np.uint8]


class Canvas:
    """A page being drawn. The pixels depend on style, text and installed fonts alone."""

    def __init__(self, style: Style, baseline_px: float) -> None:
        self._style = style
        self._baseline_px = baseline_px
        self._surface = cairo.ImageSurface(cairo.FORMAT_RGB24, style.width_px, style.height_px)
        self._context = cairo.Context(self._surface)
        self._pointer = pango.cairo_pointer(self._context)
        self._context.set_source_rgb(*style.background_colour)
        self._context.paint()
        self._background = int(self._words()[0, 0])
        self._context.set_source_rgb(*style.text_colour)
        self._context.scale(style.horizontal_scale, 1)
        self._bottom_px = 0
        self._is_bottom_sure = True

    def clear(self) -> None:
        """Make the page empty again."""
        self._words()[: self._inked_px()] = self._background
        self._surface.mark_dirty()
        self._bottom_px, self._is_bottom_sure = 0, True

    def draw(self, line: Line, number: int) -> None:
        """Draw a line as number `number` of the page; columns are filled one after the other."""
        if not line.handle and line.row is None:
            return
        style = self._style
        column, row = divmod(number, style.lines_per_column)
        left = style.margin_x_px + column * (style.text_width_px + style.column_gap_px)
        # Whole pixels: cairo 1.16 places glyphs on them anyway, later versions would not.
        x = round((left + line.x_px) * style.horizontal_scale) / style.horizontal_scale
        y = round(style.margin_y_px + row * style.line_height_px + self._baseline_px)
        if line.row is not None:
            self._show(line.row, x, y)
            return
        self._context.move_to(x, y)
        shared = pango.library().pangocairo
        shared.pango_cairo_show_layout_line(self._pointer, line.handle)
        self._bottom_px = max(self._bottom_px, y + round(style.line_height_px))
        self._is_bottom_sure = False

    def _show(self, row: GlyphRow, x: float, y: int) -> None:
        places = row.places
        places += (x, y)
        shared = pango.library().cairo
        shared.cairo_set_scaled_font(self._pointer, row.scaled_font)
        shared.cairo_show_glyphs(self._pointer, row.address, len(places))
        self._bottom_px = max(self._bottom_px, y + row.deepest_px)

    def pixels(self, width_px: int, height_px: int) -> Pixels:
        """The upper left of the page as (height, width, 3) uint8, red green blue."""
        inked = min(self._inked_px(), height_px)
        page = np.empty((height_px, width_px, 3), np.uint8)
        # cairo stores 0x00RRGGBB in native order: blue first on the machines this runs on. One
        # colour after the other takes a quarter of the time of one reversed copy, and most of a
        # short page is background.
        rows = self._words().view(np.uint8).reshape(self._style.height_px, -1, 4)
        for colour in range(3):
            page[:inked, :, colour] = rows[:inked, :width_px, 2 - colour]
        red, green, blue = (self._background >> shift & 0xFF for shift in (16, 8, 0))
        page[inked:] = red if red == green == blue else (red, green, blue)
        return page

    def _inked_px(self) -> int:
        """Rows of the page from the top that may have ink."""
        height = self._style.height_px
        bottom = max(0, min(self._bottom_px, height))
        if self._is_bottom_sure or not (self._words()[bottom:] != self._background).any():
            return bottom
        return height

    def _words(self) -> npt.NDArray[np.uint32]:
        self._surface.flush()
        words = np.frombuffer(self._surface.get_data(), np.uint32)
        return words.reshape(self._style.height_px, self._surface.get_stride() // 4)


def encode_png(pixels: Pixels) -> bytes:
    """A page as PNG, for people to look at; costs ten times the drawing."""
    height, width, _ = pixels.shape
    padded = np.zeros((height, width, 4), np.uint8)
    padded[..., :3] = pixels[..., ::-1]
    surface = cairo.ImageSurface(cairo.FORMAT_RGB24, width, height)
    surface.get_data()[:] = padded.tobytes()
    surface.mark_dirty()
    out = BytesIO()
    surface.write_to_png(out)
    return out.getvalue()
