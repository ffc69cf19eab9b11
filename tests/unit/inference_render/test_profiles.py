"""What profiles can ask for: columns, alignment, cropping, markers, font files; and hard spans."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.config import ProfileConfig
from inference.render import (
    Pixels,
    StyleError,
    character_names,
    plan_pages,
    render_pages,
    resolve_style,
    verbatim_spans,
)

DATA = Path(__file__).parents[2] / "data"
LATIN = (DATA / "genesis-kjv.txt").read_text("utf-8")[:6000]
PAGE = ProfileConfig(page_width_px=280, page_height_px=196)
CROPPED = replace(PAGE, crop_width=True, crop_last_page=True)
LIBERATION = "/usr/share/fonts/truetype/liberation/LiberationMono-Regular.ttf"
ALIGNMENTS = st.sampled_from(["left", "center", "right", "justify"])


def inked_columns(pixels: Pixels) -> set[int]:
    return set(np.flatnonzero((pixels < 128).any(axis=(0, 2))).tolist())


@given(
    text=st.lists(
        st.sampled_from(["word ", "字词。", "\n", "\ue000", "של ", "well-known ", "\t"]),
        max_size=150,
    ).map("".join),
    alignment=ALIGNMENTS,
    columns=st.integers(1, 3),
    scale=st.sampled_from([0.7, 1.0, 1.4]),
    crop=st.booleans(),
    newline=st.sampled_from(["break", "red-marker"]),
)
@settings(max_examples=150, deadline=None)
def test_any_profile_lays_out_everything_once_inside_pages_as_planned(
    *,
    text: str,
    alignment: Literal["left", "center", "right", "justify"],
    columns: int,
    scale: float,
    crop: bool,
    newline: Literal["break", "red-marker"],
) -> None:
    profile = replace(
        PAGE,
        alignment=alignment,
        columns=columns,
        horizontal_scale=scale,
        crop_width=crop,
        crop_last_page=crop,
        newline=newline,
    )
    style = resolve_style(profile)
    plan = plan_pages(text, style)
    position = 0
    for page, (width, height) in zip(render_pages(text, style), plan.sizes, strict=True):
        assert page.pixels.shape == (height, width, 3)
        assert width % 28 == height % 28 == 0
        assert page.first_character == position
        position += page.characters
        frame = page.pixels.copy()
        frame[7:-7, 6:-6] = 255
        assert (frame == 255).all()
    assert position == len(text) == plan.characters
    assert plan.missing_glyphs == text.count("\ue000")


def test_columns_are_filled_one_after_the_other() -> None:
    style = resolve_style(replace(PAGE, columns=2, column_gap_pt=20))
    half = style.lines_per_column
    (page,) = render_pages("M\n" * half, style)
    assert max(inked_columns(page.pixels)) < 40
    (page,) = render_pages("M\n" * (half + 1), style)
    assert max(inked_columns(page.pixels)) >= 10 + style.text_width_px + 20


def test_alignment_moves_lines() -> None:
    places = {}
    for alignment in ("left", "center", "right"):
        style = resolve_style(replace(PAGE, alignment=alignment))
        (page,) = render_pages("MMM", style)
        places[alignment] = min(inked_columns(page.pixels))
    assert places["left"] < 15 < places["center"] < 140 < places["right"]


def test_justified_lines_end_at_the_margin() -> None:
    style = resolve_style(replace(PAGE, alignment="justify"))
    page = next(render_pages(LATIN.replace("\n", " "), style))
    rows = [page.pixels[10 * row : 10 * row + 10] for row in range(2, 15)]
    assert all(max(inked_columns(row)) >= 265 for row in rows)


def test_horizontal_scale_makes_room() -> None:
    narrow = plan_pages(LATIN, resolve_style(replace(PAGE, horizontal_scale=0.5)))
    assert narrow.lines < 0.6 * plan_pages(LATIN, resolve_style(PAGE)).lines


def test_pages_are_cropped_to_multiples_of_28() -> None:
    style = resolve_style(CROPPED)
    (page,) = render_pages("word\nword", style)
    assert page.pixels.shape == (56, 56, 3)
    (whole,) = render_pages("word\nword", resolve_style(PAGE))
    assert np.array_equal(page.pixels, whole.pixels[:56, :56])
    *full, last = plan_pages("word\n" * 40, style).sizes
    assert (set(full), last) == ({(56, 196)}, (56, 84))


def test_markers_are_the_profile_s_own() -> None:
    profile = replace(PAGE, newline="red-marker", newline_marker="¶", newline_colour="#00FF00")
    (page,) = render_pages("MM\nMM\nMM", resolve_style(profile))
    green = (page.pixels[..., 1] > 150) & (page.pixels[..., 0] < 100)
    assert green.any()
    assert plan_pages("a\nb", resolve_style(profile)).lines == 1


def test_a_font_file_comes_before_the_families() -> None:
    style = resolve_style(replace(PAGE, font_path=LIBERATION))
    assert style.font_families[0] == "Liberation Mono"
    same = resolve_style(replace(PAGE, font_families=("Liberation Mono", *PAGE.font_families)))
    (one,), (other,) = render_pages("Word", style), render_pages("Word", same)
    assert np.array_equal(one.pixels, other.pixels)
    with pytest.raises(StyleError, match="no font that can be read"):
        resolve_style(replace(PAGE, font_path=__file__))


def test_missing_characters_are_named_once() -> None:
    style = resolve_style(PAGE)
    plan = plan_pages("a\ue001b\U0010fffd\ue001", style)
    assert (plan.missing_glyphs, plan.missing_characters) == (3, "\ue001\U0010fffd")
    (page,) = render_pages("\ue001", style)
    assert page.missing_characters == "\ue001"
    assert character_names("\ue001A") == ["U+E001", "U+0041 LATIN CAPITAL LETTER A"]
    many = "".join(chr(0xE000 + number) for number in range(200))
    assert plan_pages(many, style).missing_characters == many[:64]


UUID = "123e4567-e89b-12d3-a456-426614174000"


@pytest.mark.parametrize(
    "span", [UUID, "6945fa70", "0xDEAD", "00:1A:2B:3C:4D:5E", "1234567890", "a1b2c3d4e5"]
)
def test_hard_spans_are_found_in_any_text(span: str) -> None:
    assert verbatim_spans(f"see {span}, and {span}.") == (span,)
    assert verbatim_spans(f"编号{span}。") == (span,)


def test_words_numbers_and_dates_are_not_hard() -> None:
    text = "decade facade effaced 20240101 1,000,000 3.14 word2024 2026-11-21T02:00 a-b-c"
    assert verbatim_spans(text) == ()
    assert verbatim_spans((DATA / "genesis-kjv.txt").read_text("utf-8")) == ()


@given(st.text("a1-:_ \nfX0", max_size=400))
def test_hard_spans_come_from_the_text_in_order(text: str) -> None:
    spans = verbatim_spans(text)
    places = [text.index(span) for span in spans]
    assert len(set(spans)) == len(spans) == len(places)


def test_hard_spans_are_bounded_and_cost_no_backtracking() -> None:
    assert verbatim_spans("a-" * 100_000) == verbatim_spans("1a" * 100_000) == ()
    assert (
        len(verbatim_spans(" ".join(f"{number}a{number}" for number in range(1000, 3000)))) == 256
    )
