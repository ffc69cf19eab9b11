"""Glyph's own render configuration as a profile of ours.

The files that come with the Glyph model (`config_en.json`, `config_zh.json`) are accepted as they
are: a profile may be the path of such a file, or a mapping with its hyphenated keys. Lengths there
are points, the page is rounded to multiples of 28 pixels (595 x 842 at 72 dpi becomes 588 x 840,
which is what the model's image processor makes of it anyway). What has no counterpart here must be
neutral, as it is in the published files; nothing is ignored silently.
"""

from __future__ import annotations

import html
import json
import math
import re
from collections.abc import Mapping
from pathlib import Path

from inference.config.decode import ConfigProblem, unknown_key

_LARGEST_FILE_BYTES = 65_536
_UNIT_PX = 28
_POINTS_PER_INCH = 72
_LINE_BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)
_MARKER = re.compile(r"<font color=[\"'](#[0-9a-fA-F]{6})[\"']>([^<>]+)</font>|([^<>]+)")
_CHINESE = re.compile("han|cjk|song|hei|kai|wqy|msyh", re.IGNORECASE)
_HALF_WIDTH = re.compile("HW")

# What a key means when it is absent, as in Glyph's renderer.
_DEFAULTS: Mapping[str, object] = {
    "page-size": "595.28,841.89",
    "dpi": 72,
    "margin-x": 20,
    "margin-y": 20,
    "font-size": 9,
    "line-height": None,
    "font-color": "#000000",
    "page-bg-color": "#FFFFFF",
    "alignment": "JUSTIFY",
    "horizontal-scale": 1.0,
    "auto-crop-width": False,
    "auto-crop-last-page": False,
    "newline-markup": "<br/>",
}
_NEUTRAL = (
    "first-line-indent",
    "left-indent",
    "right-indent",
    "space-before",
    "space-after",
    "border-width",
    "border-padding",
)
_COLOURS_OF_PARAGRAPHS = ("para-bg-color", "para-border-color")
_KEYS = {"font-path", *_DEFAULTS, *_NEUTRAL, *_COLOURS_OF_PARAGRAPHS}


def profiles(value: object, path: str, problems: list[ConfigProblem]) -> object:
    """The mapping `render.profiles` with Glyph's configurations in it translated to our keys.

    What cannot be translated is left out and its reason appended to `problems`.
    """
    if not isinstance(value, Mapping):
        return value
    ours: dict[object, object] = {}
    for name, raw in value.items():
        here = f"{path}.{name}"
        group, folder = raw, Path()
        if isinstance(raw, str):
            folder = Path(raw).parent
            group = _read(Path(raw), here, problems)
            if group is None:
                continue
        if isinstance(raw, str) or _is_glyphs(raw):
            group = translate(group, folder, here, problems)
        ours[name] = group
    return ours


def translate(
    raw: object, folder: Path, path: str, problems: list[ConfigProblem]
) -> dict[str, object]:
    """One of Glyph's configurations under our keys; `font-path` is looked up from `folder`."""
    if not isinstance(raw, Mapping):
        problems.append(ConfigProblem(path, "must be a mapping of Glyph's keys"))
        return {}
    for key in raw:
        if key not in _KEYS:
            problems.append(ConfigProblem(f"{path}.{key}", unknown_key(key, _KEYS)))
    given = {**_DEFAULTS, **raw}
    _refuse_without_counterpart(given, path, problems)
    size = given["font-size"]
    line_height = given["line-height"]
    if line_height is None and isinstance(size, int | float):
        line_height = size + 1
    alignment = given["alignment"]
    return {
        **_page(given["page-size"], given["dpi"], given["horizontal-scale"], path, problems),
        **_newline(given["newline-markup"], path, problems),
        **_font(raw.get("font-path"), folder, path, problems),
        "dpi": given["dpi"],
        "margin_x_pt": given["margin-x"],
        "margin_y_pt": given["margin-y"],
        "font_size_pt": size,
        "line_height_pt": line_height,
        "text_colour": given["font-color"],
        "background_colour": given["page-bg-color"],
        "alignment": alignment.lower() if isinstance(alignment, str) else alignment,
        "horizontal_scale": given["horizontal-scale"],
        "crop_width": given["auto-crop-width"],
        "crop_last_page": given["auto-crop-last-page"],
    }


def _is_glyphs(raw: object) -> bool:
    return isinstance(raw, Mapping) and any(isinstance(key, str) and "-" in key for key in raw)


def _read(file: Path, path: str, problems: list[ConfigProblem]) -> object:
    try:
        with file.open("rb") as opened:
            data = opened.read(_LARGEST_FILE_BYTES + 1)
        if len(data) > _LARGEST_FILE_BYTES:
            raise ValueError(f"it has more than {_LARGEST_FILE_BYTES} bytes")
        return json.loads(data)
    except (OSError, ValueError) as error:
        problems.append(ConfigProblem(path, f"{file} is no render configuration: {error}"))
        return None


def _refuse_without_counterpart(
    given: Mapping[str, object], path: str, problems: list[ConfigProblem]
) -> None:
    for key in _NEUTRAL:
        if given.get(key, 0) != 0:
            problems.append(ConfigProblem(f"{path}.{key}", "has no counterpart here; must be 0"))
    page = given["page-bg-color"]
    for key in _COLOURS_OF_PARAGRAPHS:
        framed = key == "para-border-color" and given.get("border-width", 0) == 0
        if given.get(key, page) != page and not framed:
            message = f"has no counterpart here; must be page-bg-color ({page})"
            problems.append(ConfigProblem(f"{path}.{key}", message))


def _page(
    size: object, dpi: object, scale: object, path: str, problems: list[ConfigProblem]
) -> dict[str, object]:
    sides = size.split(",") if isinstance(size, str) else size
    try:
        if not isinstance(sides, list | tuple):
            raise TypeError
        width, height = (float(side) for side in sides)
        if not (math.isfinite(width) and math.isfinite(height)):
            raise ValueError
    except (TypeError, ValueError):
        message = f"must be width and height in points such as 595,842, not {size!r}"
        problems.append(ConfigProblem(f"{path}.page-size", message))
        return {}
    if not isinstance(dpi, int | float) or not isinstance(scale, int | float):
        return {}  # refused under their own keys
    pixels_per_point = dpi / _POINTS_PER_INCH
    return {
        "page_width_px": round(width * scale * pixels_per_point / _UNIT_PX) * _UNIT_PX,
        "page_height_px": round(height * pixels_per_point / _UNIT_PX) * _UNIT_PX,
    }


def _newline(markup: object, path: str, problems: list[ConfigProblem]) -> dict[str, object]:
    if isinstance(markup, str) and _LINE_BREAK.fullmatch(markup.strip()):
        return {"newline": "break"}
    found = _MARKER.fullmatch(markup) if isinstance(markup, str) else None
    if found is None:
        message = 'must be <br/>, text, or <font color="#RRGGBB">text</font>'
        problems.append(ConfigProblem(f"{path}.newline-markup", message))
        return {}
    colour, coloured, plain = found.groups()
    marker: dict[str, object] = {
        "newline": "red-marker",
        "newline_marker": html.unescape(coloured or plain),
    }
    return {**marker, "newline_colour": colour} if colour else marker


def _font(
    file: object, folder: Path, path: str, problems: list[ConfigProblem]
) -> dict[str, object]:
    """The font file if it is there, and the families to take for what it lacks (or for it)."""
    if not isinstance(file, str) or not file.strip():
        problems.append(ConfigProblem(f"{path}.font-path", "must be the path of a font"))
        return {}
    name = Path(file).stem
    western, chinese = "DejaVu Sans", "Noto Sans CJK SC"
    if _HALF_WIDTH.search(name):
        chinese = "Noto Sans Mono CJK SC"  # the same design, half-width Latin letters
    is_chinese = _CHINESE.search(name) is not None
    families = [chinese, western] if is_chinese else [western, chinese]
    language = "zh-cn" if is_chinese else "en"
    for place in (folder / file, Path(file)):
        if place.is_file():
            path_found = str(place.resolve())
            return {"font_families": families, "language": language, "font_path": path_found}
    # Perhaps a family of this name is installed; if not, `missing_families` says so.
    return {"font_families": [name, *families], "language": language}
