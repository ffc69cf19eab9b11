"""One page of pixels: lines are drawn onto a cairo surface, which is handed over as an array."""

from __future__ import annotations

from io import BytesIO

import cairo
import numpy as np
import numpy.typing as npt

from inference.render import pango
from inference.render.style import Style

Pixels = npt.NDArray[np.uint8]


class Canvas:
    """A page being drawn. The pixels depend on style, text and installed fonts alone."""

    def __init__(self, style: Style, baseline_px: float) -> None:
        self._style = style
        self._baseline_px = baseline_px
        self._surface = cairo.ImageSurface(cairo.FORMAT_RGB24, style.width_px, style.height_px)
        self._context = cairo.Context(self._surface)
        self._context.set_source_rgb(*style.background_colour)
        self._context.paint()
        self._context.set_source_rgb(*style.text_colour)

    def draw(self, handle: int, x_px: float, row: int) -> None:
        """Draw a PangoLayoutLine as line number `row` of the page; 0 draws nothing."""
        if not handle:
            return
        style = self._style
        y = style.margin_y_px + row * style.line_height_px + self._baseline_px
        # Whole pixels: cairo 1.16 places glyphs on them anyway, later versions would not.
        self._context.move_to(round(style.margin_x_px + x_px), round(y))
        shared = pango.library().pangocairo
        shared.pango_cairo_show_layout_line(pango.cairo_pointer(self._context), handle)

    def pixels(self) -> Pixels:
        """The page as (height, width, 3) uint8, red green blue."""
        self._surface.flush()
        style = self._style
        rows = np.frombuffer(self._surface.get_data(), np.uint8)
        grid = rows.reshape(style.height_px, self._surface.get_stride() // 4, 4)
        # cairo stores 0x00RRGGBB in native order: blue first on the machines this runs on.
        return np.ascontiguousarray(grid[:, : style.width_px, 2::-1])


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
