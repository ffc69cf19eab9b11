"""The page the reader reads: a fixed grid of monospaced cells, drawn by the product's renderer.

A cell is 7 x 28 pixels, so a visual token (28 x 28 pixels) shows four characters of one line. The
margin of 7 pixels at the top puts the ink of a line into the lower half of its row of tokens: a
character then lies in one 14-pixel patch whole. That costs one empty row of tokens at the bottom.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
import numpy.typing as npt

from inference.config import ProfileConfig
from inference.render import render_pages, resolve_style

COLUMNS, ROWS = 64, 20
CELL_WIDTH_PX, CELL_HEIGHT_PX = 7, 28
TOKEN_PX = 28
CELLS_PER_TOKEN = TOKEN_PX // CELL_WIDTH_PX
TOKENS_WIDE = COLUMNS // CELLS_PER_TOKEN
TOKENS_HIGH = ROWS + 1
TOKENS_PER_PAGE = TOKENS_WIDE * TOKENS_HIGH
MARGIN_TOP_PX = 7
ALPHABET = "".join(chr(code) for code in range(0x20, 0x7F))
"""Printable ASCII; the space comes first, so that code 0 is an empty cell."""

PROFILE = ProfileConfig(
    page_width_px=TOKENS_WIDE * TOKEN_PX,
    page_height_px=TOKENS_HIGH * TOKEN_PX,
    dpi=72,
    margin_x_pt=0.0,
    margin_y_pt=float(MARGIN_TOP_PX),
    font_families=("DejaVu Sans Mono",),
    # An advance of 6.999 px: 64 characters fit into a line and round to multiples of 7 px.
    font_size_pt=11.625,
    line_height_pt=float(CELL_HEIGHT_PX),
)

Ink = npt.NDArray[np.uint8]
"""Darkness of pixels: 0 is the white page, 255 is black."""
Codes = npt.NDArray[np.int64]
"""(ROWS, COLUMNS) indices into ALPHABET."""

_CODE_OF = {character: code for code, character in enumerate(ALPHABET)}
_GLYPHS_PER_LINE = 16


def page_codes(lines: Sequence[str]) -> Codes:
    """Which character each cell shows. Raises ValueError for what does not fit on the grid."""
    if len(lines) > ROWS or any(len(line) > COLUMNS for line in lines):
        raise ValueError(f"a page holds {ROWS} lines of {COLUMNS} characters")
    codes = np.zeros((ROWS, COLUMNS), np.int64)
    for row, line in enumerate(lines):
        try:
            codes[row, : len(line)] = [_CODE_OF[character] for character in line]
        except KeyError as error:
            raise ValueError(f"{error.args[0]!r} is not printable ASCII") from None
    return codes


def draw(codes: Codes) -> Ink:
    """Ink (height, width) of a page, put together from the atlas: the renderer's very pixels."""
    page = np.zeros((TOKENS_HIGH * TOKEN_PX, COLUMNS * CELL_WIDTH_PX), np.uint8)
    cells = atlas()[codes].transpose(0, 2, 1, 3)
    end = MARGIN_TOP_PX + ROWS * CELL_HEIGHT_PX
    page[MARGIN_TOP_PX:end] = cells.reshape(ROWS * CELL_HEIGHT_PX, -1)
    return page


@cache
def atlas() -> Ink:
    """Ink (characters, 28, 7) of every character, cut from pages of the renderer.

    Raises PangoUnavailableError, and RuntimeError when the installed font does not fit the grid.
    """
    lines = [
        "".join(f"  {character} " for character in ALPHABET[start : start + _GLYPHS_PER_LINE])
        for start in range(0, len(ALPHABET), _GLYPHS_PER_LINE)
    ]
    pages = list(render_pages("\n".join(lines), resolve_style(PROFILE)))
    if len(pages) != 1 or pages[0].missing_glyphs:
        raise RuntimeError("DejaVu Sans Mono is not installed, or is not the font it was")
    ink = 255 - pages[0].pixels[..., 0]
    glyphs = np.zeros((len(ALPHABET), CELL_HEIGHT_PX, CELL_WIDTH_PX), np.uint8)
    for code in range(len(ALPHABET)):
        row, place = divmod(code, _GLYPHS_PER_LINE)
        top = MARGIN_TOP_PX + row * CELL_HEIGHT_PX
        left = place * 4 * CELL_WIDTH_PX
        around = ink[top : top + CELL_HEIGHT_PX, left : left + 4 * CELL_WIDTH_PX]
        glyphs[code] = around[:, 2 * CELL_WIDTH_PX : 3 * CELL_WIDTH_PX]
        if int(around.sum()) != int(glyphs[code].sum()):
            raise RuntimeError(f"{ALPHABET[code]!r} is drawn outside its cell")
    return glyphs
