"""The fast way gives what Pango gives: the same lines, the same pixels."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from inference.config import InferenceConfig, ProfileConfig
from inference.render import pages, pango
from inference.render.fonts import add_font
from inference.render.layout import LineBreaker
from inference.render.style import Style, resolve_style
from inference.render.units import NOT_SIMPLE, UnitTable

DATA = Path(__file__).parents[2] / "data"
PROFILES = InferenceConfig().render.profiles
SMALL = ProfileConfig(page_width_px=196, page_height_px=112, line_height_pt=12)
STYLES = {
    "small": resolve_style(SMALL),
    "page": resolve_style(PROFILES["glyph-en"]),
    "zh": resolve_style(PROFILES["glyph-zh"]),
    "mono": resolve_style(replace(SMALL, font_families=("DejaVu Sans Mono",), font_size_pt=11)),
    "serif": resolve_style(replace(SMALL, font_families=("Liberation Serif",), font_size_pt=10.5)),
    "columns": resolve_style(replace(SMALL, columns=2, column_gap_pt=6)),
}
WORDS = st.sampled_from(
    [
        *"the of and to AV To WAVE Type. office fly fish affluent ... -- a I well-known x/y 1,000",
        *("To", "AVATAR", "waffle", "office", "fjord", "well-known", "e.g.", "(see", "it)", "1/2"),
        *('"Quote', 'quoted"', "“so”", "it’s", "—", "word—word", "naïve", "Ångström", "…", "a_b"),
        *("http://x.y/z?q=1&r=2", "supercalifragilistic" * 3, "#", "$5", "50%", "[1]", "C:\\x"),
    ]
)
GAPS = st.sampled_from([" "] * 12 + ["  ", "\n", "\n\n", "\r\n", "   ", " \n", "\n  ", "\t", "字"])
LATIN = st.lists(st.tuples(WORDS, GAPS), max_size=60).map(
    lambda pairs: "".join(word + gap for word, gap in pairs)
)
TEXTS = st.one_of(
    LATIN,
    st.text("ab cde.fg,-/'\"()T V\n", max_size=300),
    st.text("天地玄黄宇宙洪荒一口，。、；：？！“”‘’《》「」（）…・0123.,%\u3000\n", max_size=300),
    st.text("天地玄黄宇宙洪荒，。“”—\u3000a \n", max_size=200),
    st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF), max_size=200),
    st.lists(st.one_of(LATIN, st.text("字。“中”a 1\n", max_size=30)), max_size=4).map("".join),
)


def lines(text: str, style: Style, simple: bool) -> list[tuple[int, int, int]]:
    with LineBreaker(style, simple) as breaker:
        return [
            (line.first_character, line.characters, line.missing_glyphs)
            for line in breaker.lines(text)
        ]


def simple_share(text: str, style: Style) -> float:
    """How many of the lines with ink were found without Pango's layout."""
    with LineBreaker(style) as breaker:
        found = [line.row is not None for line in breaker.lines(text) if line.row or line.handle]
    return sum(found) / len(found)


@pytest.mark.parametrize("name", sorted(STYLES))
@given(text=TEXTS)
@example("word " * 3000)
@example("a-b " * 800)
@example("one two\n\n123 456\nthree  four   \n" * 40)
@example("x" * 300 + " and " + "y" * 300)
@example("天地，“玄黄。”\u3000\u3000宇宙……（洪荒）！？" * 60)
@example("\u3000" * 500 + "。" * 300 + "天" * 3000)
@example("To AV. 'Tis — “No”… " * 60)
@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_lines_and_pixels_are_those_of_pango(name: str, text: str) -> None:
    style = STYLES[name]
    assert lines(text, style, simple=True) == lines(text, style, simple=False)
    fast = list(pages._draw_pages(text, style))
    slow = list(pages._draw_pages(text, style, simple=False))
    assert len(fast) == len(slow)
    for one, other in zip(fast, slow, strict=True):
        assert one.characters == other.characters
        assert np.array_equal(one.pixels, other.pixels)


@pytest.mark.parametrize("join", ["\n", " ", "\r\n"])
@pytest.mark.parametrize("profile", ["glyph-en", "glyph-zh"])
def test_a_real_text_has_the_pixels_of_pango(profile: str, join: str) -> None:
    style = STYLES["page" if profile == "glyph-en" else "zh"]
    text = (DATA / "genesis-kjv.txt").read_text("utf-8").replace("\n", join)
    fast = pages._draw_pages(text, style)
    slow = pages._draw_pages(text, style, simple=False)
    for one, other in zip(fast, slow, strict=True):
        assert np.array_equal(one.pixels, other.pixels)


def test_most_lines_of_latin_text_take_the_fast_way_and_others_do_not() -> None:
    latin = (DATA / "genesis-kjv.txt").read_text("utf-8")
    assert simple_share(latin, STYLES["page"]) > 0.95
    chinese = (DATA / "tang-poems.txt").read_text("utf-8")
    assert simple_share(chinese, STYLES["zh"]) > 0.9
    assert simple_share("字词 and 句。" * 100, STYLES["page"]) == 0
    assert simple_share("שלום abc " * 100, STYLES["page"]) == 0
    justified = replace(STYLES["page"], alignment="justify")
    assert simple_share(latin[:3000], justified) == 0


def test_the_fast_way_survives_a_font_file_added_later() -> None:
    latin = (DATA / "genesis-kjv.txt").read_text("utf-8")
    assert simple_share(latin[:4000], STYLES["page"]) > 0.95
    file = subprocess.run(
        ["fc-match", "-f", "%{file}", "DejaVu Sans"], capture_output=True, text=True, check=True
    ).stdout
    add_font.__wrapped__(file)
    assert simple_share(latin, STYLES["page"]) > 0.95


def test_kerning_over_a_space_and_missing_glyphs_are_noticed() -> None:
    api = pango.library()
    context = api.new_context("en")
    font = api.new_font(("DejaVu Sans",), 9)
    table = UnitTable(context, font)
    good, missing, other_font, too_long = table.numbers(["word ", "a\ue000 ", "a字 ", "x" * 500])
    assert good >= 0
    assert (missing, other_font, too_long) == (NOT_SIMPLE,) * 3
    assert table.numbers(["word "]) == [good]


def test_the_table_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inference.render.units._MOST_UNITS", 50)
    api = pango.library()
    table = UnitTable(api.new_context("en"), api.new_font(("DejaVu Sans",), 9))
    for start in range(0, 400, 40):
        assert NOT_SIMPLE not in table.numbers([f"w{start + count} " for count in range(40)])
        assert len(table._ids) <= 52
