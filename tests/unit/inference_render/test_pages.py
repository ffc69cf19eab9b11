"""Pages: what is drawn, where, and how much."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.config import InferenceConfig, ProfileConfig
from inference.render import (
    Pixels,
    StyleError,
    count_pages,
    encode_png,
    missing_families,
    plan_pages,
    render_pages,
    resolve_style,
)

DATA = Path(__file__).parents[2] / "data"
PROFILES = InferenceConfig().render.profiles
STYLE = resolve_style(PROFILES["glyph-en"])
SMALL = resolve_style(ProfileConfig(page_width_px=196, page_height_px=112, line_height_pt=12))
WHITE = 255


def only_margins(pixels: Pixels, margin: int) -> Pixels:
    frame = pixels.copy()
    frame[margin:-margin, margin:-margin] = WHITE
    return frame


@pytest.mark.parametrize("profile", sorted(PROFILES))
@pytest.mark.parametrize("name", ["genesis-kjv.txt", "tang-poems.txt"])
def test_real_texts_fill_pages(profile: str, name: str) -> None:
    text = (DATA / name).read_text("utf-8")
    style = resolve_style(PROFILES[profile])
    position = 0
    pages = 0
    for page in render_pages(text, style):
        assert page.pixels.shape == (840, 588, 3)
        assert page.pixels.dtype == np.uint8
        assert page.first_character == position
        assert page.missing_glyphs == 0
        # Ink may reach a little over the line's box (accents, italics), never over the margin.
        assert (only_margins(page.pixels, 8) == WHITE).all()
        assert (page.pixels[10:830, 10:578] < 128).any()
        position += page.characters
        pages += 1
    assert position == len(text)
    assert pages == count_pages(text, style) > 2


@given(
    st.lists(
        st.one_of(
            st.text("ab cde.fg,-\t", max_size=200),
            st.text("天地玄黄，宇宙。“” ", max_size=100),
            st.text("שלום עולם العربية 12,abc() ", max_size=200),
            st.text("\n ", max_size=30),
            st.text(" \t", min_size=50, max_size=200),
        ),
        max_size=5,
    ).map("".join)
)
@settings(max_examples=80, deadline=None)
def test_nothing_is_drawn_outside_the_margins(text: str) -> None:
    for page in render_pages(text, SMALL):
        assert (only_margins(page.pixels, 7) == WHITE).all()


def test_plan_and_pages_agree() -> None:
    text = "word \ue000 字。\n" * 300
    plan = plan_pages(text, SMALL)
    pages = list(render_pages(text, SMALL))
    assert plan.pages == len(pages)
    assert plan.characters == sum(page.characters for page in pages) == len(text)
    assert plan.missing_glyphs == sum(page.missing_glyphs for page in pages) == 300


def test_same_text_gives_the_same_pixels() -> None:
    text = (DATA / "tang-poems.txt").read_text("utf-8")[:3000] + "café naïve עברית 😀"
    first, second = ([page.pixels for page in render_pages(text, STYLE)] for _ in range(2))
    assert len(first) == len(second)
    assert all(np.array_equal(one, other) for one, other in zip(first, second, strict=True))


def test_other_text_gives_other_pixels() -> None:
    (one,) = render_pages("the word", STYLE)
    (other,) = render_pages("the wood", STYLE)
    assert not np.array_equal(one.pixels, other.pixels)


def test_every_line_of_a_full_page_has_ink() -> None:
    (page,) = render_pages("\n".join("M" * 5 for _ in range(STYLE.lines_per_page)), STYLE)
    rows = [page.pixels[10 + 10 * row : 20 + 10 * row] for row in range(STYLE.lines_per_page)]
    assert all((row < 128).any() for row in rows)


def test_only_newlines_make_blank_pages() -> None:
    pages = list(render_pages("\n" * 200, STYLE))
    assert [page.characters for page in pages] == [82, 82, 36]
    assert all((page.pixels == WHITE).all() for page in pages)


def test_empty_text_has_no_pages() -> None:
    assert list(render_pages("", STYLE)) == []
    assert count_pages("", STYLE) == 0


def test_colours() -> None:
    style = resolve_style(
        replace(PROFILES["glyph-dense"], text_colour="#0000FF", background_colour="#FFFF00")
    )
    (page,) = render_pages("MMM\nMMM", style)
    colours = {tuple(colour) for colour in page.pixels.reshape(-1, 3).tolist()}
    assert (255, 255, 0) in colours
    assert any(blue > 200 and red < 60 for red, _, blue in colours)
    assert any(red > 200 and green < 120 and blue < 60 for red, green, blue in colours)


def test_pages_are_made_one_at_a_time() -> None:
    pages = render_pages("字" * 400_000, STYLE)
    assert next(pages).characters > 4000
    other = next(render_pages("meanwhile", STYLE))
    assert other.characters == 9
    pages.close()  # type: ignore[attr-defined]


def test_several_threads_get_right_pages() -> None:
    texts = ["字词句。" * 2000, "word and more " * 1500, "\ue000 missing " * 500]
    expected = [[page.pixels for page in render_pages(text, STYLE)] for text in texts]
    found: list[list[Pixels]] = [[], [], []]

    def render(place: int) -> None:
        found[place] = [page.pixels for page in render_pages(texts[place], STYLE)]

    threads = [threading.Thread(target=render, args=(place,)) for place in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for mine, wanted in zip(found, expected, strict=True):
        assert len(mine) == len(wanted)
        assert all(np.array_equal(one, other) for one, other in zip(mine, wanted, strict=True))


def test_dpi_scales_page_and_type_together() -> None:
    text = (DATA / "genesis-kjv.txt").read_text("utf-8")[:6000]
    fine = resolve_style(PROFILES["glyph-en"], 144)
    assert (fine.width_px, fine.height_px, fine.font_size_px) == (1176, 1680, 18)
    assert fine.lines_per_page == STYLE.lines_per_page
    assert count_pages(text, fine) == count_pages(text, STYLE)


@pytest.mark.parametrize("dpi", [0, 35, 301, 10**9])
def test_dpi_out_of_range_is_refused(dpi: int) -> None:
    with pytest.raises(StyleError, match="dpi must be 36 to 300"):
        resolve_style(PROFILES["glyph-en"], dpi)


def test_pages_too_large_are_refused() -> None:
    with pytest.raises(StyleError, match="4480 is the limit"):
        resolve_style(replace(PROFILES["glyph-en"], page_width_px=2800, dpi=72), 144)


def test_a_profile_that_contradicts_itself_is_refused() -> None:
    with pytest.raises(StyleError, match="line_height_pt must be at least"):
        resolve_style(replace(PROFILES["glyph-en"], line_height_pt=5))


def test_fonts_of_the_shipped_profiles_are_installed_and_others_are_named() -> None:
    for profile in PROFILES.values():
        assert missing_families(profile.font_families) == ()
    assert missing_families(("DejaVu Sans", "No Such Font")) == ("No Such Font",)


def test_png_is_for_the_eyes() -> None:
    (page,) = render_pages("MMM", STYLE)
    png = encode_png(page.pixels)
    assert png.startswith(b"\x89PNG\r\n")
    assert len(png) < page.pixels.nbytes / 10
