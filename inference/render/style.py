"""A render profile made concrete: everything in pixels, checked, ready to draw with."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from inference.config import PAGE_UNIT_PX, ProfileConfig, profile_problems
from inference.render.flow import MARKER
from inference.render.fonts import FontError, add_font

POINTS_PER_INCH = 72
DPI_RANGE = range(36, 301)
_LARGEST_PAGE_PX = 4480

Colour = tuple[float, float, float]


class StyleError(ValueError):
    """A profile or a requested resolution cannot be drawn; the message says why."""


@dataclass(frozen=True, slots=True)
class Style:
    """How pages look. Lengths are pixels, colours are red, green, blue from 0 to 1."""

    width_px: int
    height_px: int
    margin_x_px: int
    margin_y_px: int
    font_families: tuple[str, ...]
    font_size_px: float
    line_height_px: float
    language: str
    text_colour: Colour
    background_colour: Colour
    newline: Literal["break", "red-marker"]
    newline_marker: str = MARKER
    newline_colour: Colour = (1.0, 0.0, 0.0)
    alignment: Literal["left", "center", "right", "justify"] = "left"
    horizontal_scale: float = 1.0
    """All widths but those of the page are before stretching by this."""
    columns: int = 1
    column_gap_px: int = 0
    crop_width: bool = False
    crop_last_page: bool = False

    @property
    def text_width_px(self) -> int:
        """Width of a column."""
        between_margins = int(self.width_px / self.horizontal_scale) - 2 * self.margin_x_px
        return (between_margins - (self.columns - 1) * self.column_gap_px) // self.columns

    @property
    def lines_per_column(self) -> int:
        """Lines between the margins."""
        return int((self.height_px - 2 * self.margin_y_px) / self.line_height_px + 1e-9)

    @property
    def lines_per_page(self) -> int:
        """Lines in all columns."""
        return self.lines_per_column * self.columns

    def page_size(self, lines: int, widest_px: float, is_last: bool) -> tuple[int, int]:
        """Width and height in pixels of a page that holds so many lines, cropped if wanted.

        `widest_px` is the right end of the longest line, counted from the left margin of the page.
        """
        width, height = self.width_px, self.height_px
        if self.crop_width:
            right = (widest_px + 2 * self.margin_x_px) * self.horizontal_scale
            width = min(width, _page_side_around(right))
        if self.crop_last_page and is_last:
            rows = min(lines, self.lines_per_column)
            height = min(
                height, _page_side_around(rows * self.line_height_px + 2 * self.margin_y_px)
            )
        return width, height


def resolve_style(profile: ProfileConfig, dpi: int | None = None) -> Style:
    """The style of a profile, at its own resolution or another one.

    Another dpi scales page, margins and type together, so that the same text stays on a page; the
    page is rounded to multiples of 28 pixels. Raises StyleError for what cannot be drawn.
    """
    wanted = profile.dpi if dpi is None else dpi
    if wanted not in DPI_RANGE:
        raise StyleError(f"dpi must be {DPI_RANGE.start} to {DPI_RANGE.stop - 1}, not {wanted}")
    problems = profile_problems(profile)
    if problems:
        raise StyleError("; ".join(f"{key} {message}" for key, message in problems))
    width = _page_side(profile.page_width_px * wanted / profile.dpi)
    height = _page_side(profile.page_height_px * wanted / profile.dpi)
    if max(width, height) > _LARGEST_PAGE_PX:
        raise StyleError(
            f"{wanted} dpi makes pages of {width}x{height} px; {_LARGEST_PAGE_PX} is the limit"
        )
    families = profile.font_families
    if profile.font_path is not None:
        try:
            families = (add_font(profile.font_path), *families)
        except FontError as error:
            raise StyleError(f"font_path: {error}") from error
    pixels_per_point = wanted / POINTS_PER_INCH
    return Style(
        width_px=width,
        height_px=height,
        margin_x_px=round(profile.margin_x_pt * pixels_per_point),
        margin_y_px=round(profile.margin_y_pt * pixels_per_point),
        font_families=families,
        font_size_px=profile.font_size_pt * pixels_per_point,
        line_height_px=profile.line_height_pt * pixels_per_point,
        language=profile.language,
        text_colour=_colour(profile.text_colour),
        background_colour=_colour(profile.background_colour),
        newline=profile.newline,
        newline_marker=profile.newline_marker,
        newline_colour=_colour(profile.newline_colour),
        alignment=profile.alignment,
        horizontal_scale=profile.horizontal_scale,
        columns=profile.columns,
        column_gap_px=round(profile.column_gap_pt * pixels_per_point),
        crop_width=profile.crop_width,
        crop_last_page=profile.crop_last_page,
    )


def _page_side(pixels: float) -> int:
    return max(1, round(pixels / PAGE_UNIT_PX)) * PAGE_UNIT_PX


def _page_side_around(pixels: float) -> int:
    return max(1, math.ceil(pixels / PAGE_UNIT_PX)) * PAGE_UNIT_PX


def _colour(text: str) -> Colour:
    red, green, blue = (int(text[start : start + 2], 16) / 255 for start in (1, 3, 5))
    return red, green, blue
