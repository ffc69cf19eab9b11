"""Every character is laid out exactly once and in order, whatever the text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from inference.config import ProfileConfig
from inference.render import pango
from inference.render.flow import Paragraph, paragraphs
from inference.render.layout import LineBreaker, Run
from inference.render.normalise import LINE_BREAK, normalise
from inference.render.style import Style, resolve_style

DATA = Path(__file__).parents[2] / "data"
NARROW = resolve_style(ProfileConfig(page_width_px=140, page_height_px=84, margin_y_pt=4))
WIDE = resolve_style(ProfileConfig())
MARKED = replace(NARROW, newline="red-marker")

SCRIPTS = st.one_of(
    st.text(),
    st.text("ab cde.fg,-\t ", max_size=300),
    st.text("天地玄黄，宇宙。“”《》！？、a ", max_size=300),
    st.text("\n\r\v\f\x85\u2028\u2029a", max_size=40),
    st.text("שלום עולם العربية 12,abc()", max_size=200),
    st.text("e\u0301\u0300\u20dd\u200d\u200b\u00ad\ufe0f", max_size=120),
    st.text("😀👨\u200d👩\u200d👧🇨🇳🇩🇪", max_size=60),
    st.text(st.characters(max_codepoint=0xA0), max_size=120),
    st.text(st.characters(categories=["Cs", "Co", "Cn"]), max_size=40),
)
TEXTS = st.lists(SCRIPTS, max_size=4).map("".join)


def spans(text: str, style: Style) -> list[tuple[int, int]]:
    with LineBreaker(style) as breaker:
        return [(line.first_character, line.characters) for line in breaker.lines(text)]


def displayed(text: str, style: Style) -> list[str]:
    """The text of every line without its line break, cut by what layout says."""
    lines = [text[first : first + count] for first, count in spans(text, style)]
    return [LINE_BREAK.sub("", line) for line in lines]


@pytest.mark.parametrize("style", [NARROW, WIDE, MARKED], ids=["narrow", "wide", "marked"])
@given(text=TEXTS)
@example("\r\n\r\n\n\r")
@example(" " * 5000 + "x" + "\t" * 3000)
@example("a" * 5000)
@example("\u0301" * 3000)
@example("x" + "\u200d" * 3000 + "y")
@example("\u202eabc\u202c " * 300)
@example("\ud800\udc00\x00\x7f\x80")
@example("字" * 3000 + "。" * 200)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_each_character_is_laid_out_once_and_in_order(style: Style, text: str) -> None:
    position = 0
    for first, count in spans(text, style):
        assert first == position
        assert count > 0 or style.newline == "red-marker"  # a marker may be cut by a line's end
        position += count
    assert position == len(text)


WORDS = st.text("ab c de.fg,-天地，。“”1é", max_size=400)


@given(st.lists(st.one_of(WORDS, st.text("שלום עול,1 ", max_size=200)), max_size=4).map("".join))
@example((DATA / "genesis-kjv.txt").read_text("utf-8")[:4000].replace("\n", " "))
@example((DATA / "tang-poems.txt").read_text("utf-8")[:4000].replace("\n", ""))
@example("של מוות,ום " * 100 + "abc def " * 100)
@settings(max_examples=100, deadline=None)
def test_pieces_break_where_the_whole_would(text: str) -> None:
    whole, pieced = LineBreaker(NARROW, False), LineBreaker(NARROW, False)
    whole._piece_characters = len(text) + 1
    pieced._piece_characters = 100
    with whole, pieced:
        expected = [(line.first_character, line.characters) for line in whole.lines(text)]
        found = [(line.first_character, line.characters) for line in pieced.lines(text)]
    assert found == expected


@pytest.mark.parametrize(
    "text",
    ["word " * 20_000, "字" * 50_000, "a" + "\u0301" * 20_000, "\u200b" * 50_000, "\t" * 50_000],
)
def test_pango_is_given_little_more_than_the_text(text: str) -> None:
    """Its time grows with the square of what it is given at once: that is what must stay small."""
    given_at_once: list[int] = []

    class Counting(LineBreaker):
        def _next_piece(self, paragraph: Paragraph, position: int) -> tuple[bytes, list[Run]]:
            piece, runs = super()._next_piece(paragraph, position)
            given_at_once.append(len(piece.decode()))
            return piece, runs

    with Counting(WIDE, simple=False) as breaker:
        assert sum(line.characters for line in breaker.lines(text)) == len(text)
    assert max(given_at_once) < 1500
    assert sum(given_at_once) < 1.5 * len(text)


@pytest.mark.parametrize("name", ["genesis-kjv.txt", "tang-poems.txt"])
@pytest.mark.parametrize("style", [WIDE, MARKED], ids=["break", "marker"])
def test_real_texts_are_laid_out_whole_and_without_missing_glyphs(name: str, style: Style) -> None:
    text = (DATA / name).read_text("utf-8")
    assert len(text) >= 20_000
    with LineBreaker(style) as breaker:
        lines = list(breaker.lines(text))
    assert sum(line.characters for line in lines) == len(text)
    assert sum(line.missing_glyphs for line in lines) == 0


@pytest.mark.parametrize("width_px", [140, 196, 252, 588])
def test_no_line_begins_with_what_may_not_begin_one(width_px: int) -> None:
    style = resolve_style(
        ProfileConfig(page_width_px=width_px, language="zh-cn", font_families=("Noto Sans CJK SC",))
    )
    text = (DATA / "tang-poems.txt").read_text("utf-8")[:6000]
    text += "他说：「来！」（真的？）然后、走了……“好，好。”《诗》〈经〉" * 20
    lines = displayed(text, style)
    assert len(lines) > 100
    assert not [line for line in lines if line[:1] in tuple("。，、；：？！」』）》〉”’")]
    assert not [line for line in lines if line[-1:] in tuple("「『（《〈“‘")]


def test_latin_words_stay_whole() -> None:
    text = (DATA / "genesis-kjv.txt").read_text("utf-8")[:5000]
    lines = displayed(text, NARROW)
    words = {word for line in lines for word in line.replace("-", " ").split()}
    assert words <= set(text.replace("-", " ").split())


def test_a_word_wider_than_the_page_is_broken() -> None:
    assert len(spans("x" * 200, NARROW)) > 5


def test_right_to_left_text_stands_at_the_right_margin() -> None:
    with LineBreaker(WIDE) as breaker:
        hebrew = next(breaker.lines("שלום"))
        assert WIDE.text_width_px / 2 < hebrew.x_px < WIDE.text_width_px
        assert next(breaker.lines("abc")).x_px == 0


@pytest.mark.parametrize(
    ("text", "missing"), [("a\ue000b", 1), ("\ue000\U0010fffd字\ue001", 3), ("abc 字 ¶", 0)]
)
def test_missing_glyphs_are_counted(text: str, missing: int) -> None:
    with LineBreaker(WIDE) as breaker:
        assert [line.missing_glyphs for line in breaker.lines(text)] == [missing]


def test_missing_glyphs_agree_with_pango_and_are_counted_once_in_pieces() -> None:
    text = "some words \ue000 and more " * 200
    with LineBreaker(NARROW) as breaker:
        assert sum(line.missing_glyphs for line in breaker.lines(text)) == 200
    with LineBreaker(WIDE) as breaker:
        lines = list(breaker.lines(text[:200]))
        count = pango.library().pango.pango_layout_get_unknown_glyphs_count(breaker._layout)
        assert sum(line.missing_glyphs for line in lines) == count > 0


def _shown(text: str) -> list[str]:
    return [paragraph.display for paragraph in paragraphs(text, "break")]


def test_line_breaks_of_every_kind_end_a_line() -> None:
    assert _shown("a\nb\r\nc\rd\ve\ff\x85g\u2028h\u2029i") == list("abcdefghi")
    assert _shown("\n\n") == ["", ""]
    assert _shown("a\n") == ["a"]
    assert _shown("") == []


def test_red_markers_stand_for_line_breaks() -> None:
    (paragraph,) = paragraphs("a\r\nb\n", "red-marker")
    assert paragraph.display == "a \\n b \\n "
    found: Sequence[int] = [paragraph.source(place) for place in range(11)]
    assert found == [0, 1, 3, 3, 3, 3, 4, 5, 5, 5, 5]


@given(st.text(st.characters(), max_size=50))
def test_normalising_keeps_length_and_gives_valid_text(text: str) -> None:
    drawable = normalise(text)
    assert len(drawable) == len(text)
    assert drawable.encode("utf-8").decode("utf-8") == drawable
    assert normalise(drawable) == drawable


def test_normalising_shows_control_characters() -> None:
    assert normalise("a\x00\x1b\x7f\x80\ud800\t字") == "a␀␛␡\ufffd\ufffd\t字"
