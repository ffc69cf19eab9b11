"""Glyph's own render configuration is a profile like ours, and what it cannot mean is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from inference.config import ConfigError, ProfileConfig, decode

PUBLISHED = {
    "page-size": "595,842",
    "dpi": 72,
    "margin-x": 10,
    "margin-y": 10,
    "font-path": "../config/Verdana.ttf",
    "font-size": 9,
    "line-height": 10,
    "font-color": "#000000",
    "alignment": "LEFT",
    "horizontal-scale": 1.0,
    "first-line-indent": 0,
    "left-indent": 0,
    "right-indent": 0,
    "space-after": 0,
    "space-before": 0,
    "border-width": 0,
    "border-padding": 0,
    "page-bg-color": "#FFFFFF",
    "para-bg-color": "#FFFFFF",
    "auto-crop-width": True,
    "auto-crop-last-page": True,
}
MARKER = '<font color="#00FF00"> \\n </font>'


def profile(raw: object) -> ProfileConfig:
    return decode({"render": {"profiles": {"mine": raw}}}).render.profiles["mine"]


def problems(raw: object) -> dict[str, str]:
    with pytest.raises(ConfigError) as caught:
        profile(raw)
    cut = len("inference.render.profiles.mine.")
    return {problem.path[cut:]: problem.message for problem in caught.value.problems}


def test_the_published_english_configuration_is_accepted_as_it_is() -> None:
    expected = ProfileConfig(
        crop_width=True,
        crop_last_page=True,
        font_families=("Verdana", "DejaVu Sans", "Noto Sans CJK SC"),
    )
    assert profile(PUBLISHED) == expected


def test_the_published_chinese_configuration_takes_chinese_fonts() -> None:
    found = profile(PUBLISHED | {"font-path": "../config/SourceHanSansHWSC-VF.ttf"})
    assert found.language == "zh-cn"
    assert found.font_families[1] == "Noto Sans Mono CJK SC"


def test_a_file_is_read_and_its_font_found_beside_it(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    font = tmp_path / "config" / "Verdana.ttf"
    font.write_bytes(b"not looked into here")
    file = tmp_path / "scripts.json"
    file.write_text(json.dumps(PUBLISHED | {"font-path": "config/Verdana.ttf"}))
    found = profile(str(file))
    assert found.font_path == str(font.resolve())
    assert found.font_families == ("DejaVu Sans", "Noto Sans CJK SC")


def test_what_is_absent_means_what_it_means_to_glyph() -> None:
    found = profile({"font-path": "Verdana.ttf", "font-size": 8})
    assert (found.margin_x_pt, found.line_height_pt, found.alignment) == (20, 9, "justify")
    assert (found.page_width_px, found.page_height_px, found.newline) == (588, 840, "break")


def test_newline_markup_scale_and_dpi() -> None:
    changed = {"newline-markup": MARKER, "horizontal-scale": 0.5, "dpi": 96}
    found = profile(PUBLISHED | changed)
    assert (found.newline, found.newline_marker) == ("red-marker", " \\n ")
    assert found.newline_colour == "#00FF00"
    assert (found.page_width_px, found.page_height_px) == (392, 1120)
    assert profile(PUBLISHED | {"newline-markup": "&lt;br&gt;"}).newline_marker == "<br>"


@pytest.mark.parametrize(
    ("change", "key", "message"),
    [
        ({"left-indent": 3}, "left-indent", "must be 0"),
        ({"para-bg-color": "#EEEEEE"}, "para-bg-color", "must be page-bg-color"),
        ({"page-size": "A4"}, "page-size", "width and height"),
        ({"page-size": [1, 2, 3]}, "page-size", "width and height"),
        ({"font-path": None}, "font-path", "path of a font"),
        ({"newline-markup": "<b>x</b>"}, "newline-markup", "<br/>"),
        ({"dpi": "72"}, "dpi", "whole number"),
        ({"font-sizes": 3}, "font-sizes", "did you mean `font-size`"),
        ({"font-color": "black"}, "text_colour", "#RRGGBB"),
    ],
)
def test_mistakes_are_named(change: dict[str, object], key: str, message: str) -> None:
    assert message in problems(PUBLISHED | change)[key]


def test_a_file_that_is_not_there_or_no_json_is_named(tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    for text in (None, "{", "[1]", " " * 70_000):
        if text is not None:
            file.write_text(text)
        with pytest.raises(ConfigError, match=r"profiles\.mine"):
            profile(str(file))
