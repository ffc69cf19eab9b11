"""Text drawn to pages: Pango breaks lines and picks fonts, cairo draws.

style = resolve_style(profile)
for page in render_pages(text, style): ...
"""

from inference.render.fonts import missing_families
from inference.render.normalise import character_names
from inference.render.pages import (
    Page,
    PagePlan,
    count_pages,
    distinct,
    plan_pages,
    render_pages,
)
from inference.render.pango import PangoUnavailableError
from inference.render.raster import Pixels, encode_png
from inference.render.style import Style, StyleError, resolve_style
from inference.render.verbatim import verbatim_spans

__all__ = [
    "Page",
    "PagePlan",
    "PangoUnavailableError",
    "Pixels",
    "Style",
    "StyleError",
    "character_names",
    "count_pages",
    "distinct",
    "encode_png",
    "missing_families",
    "plan_pages",
    "render_pages",
    "resolve_style",
    "verbatim_spans",
]
