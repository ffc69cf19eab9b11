"""Spans kept as text beside the pages, missing characters named, pages of different sizes."""

from __future__ import annotations

from dataclasses import replace

from inference.batching.chat import GlyphOptions
from tests.unit.inference_batching.test_prepare import LONG, chat, config, prepare, preparer

UUID = "123e4567-e89b-12d3-a456-426614174000"


def test_hard_spans_are_sent_along_when_asked_for() -> None:
    text = LONG + f"the key is {UUID} and "
    plain = prepare(replace(chat(text), glyph=GlyphOptions("always", None, 36)))
    kept = prepare(replace(chat(text), glyph=GlyphOptions("always", None, 36, "auto")))
    assert (plain.usage.facts.kept_spans, kept.usage.facts.kept_spans) == (0, 1)
    assert kept.usage.facts.members()["kept_spans"] == 1
    assert kept.usage.facts.visual_tokens == plain.usage.facts.visual_tokens
    assert kept.usage.prompt_tokens > plain.usage.prompt_tokens
    assert kept.fingerprint != plain.fingerprint


def test_without_hard_spans_nothing_is_added() -> None:
    plain = prepare(replace(chat(LONG), glyph=GlyphOptions("always", None, 36)))
    kept = prepare(replace(chat(LONG), glyph=GlyphOptions("always", None, 36, "auto")))
    assert kept.usage.prompt_tokens == plain.usage.prompt_tokens


def test_missing_characters_are_named_in_the_answer() -> None:
    facts = prepare(replace(chat("a\ue000b"), glyph=GlyphOptions("always", None, 36))).usage.facts
    assert facts.missing_glyphs == 1
    assert facts.members()["missing_characters"] == ["U+E000"]


def test_cropped_pages_cost_what_they_show() -> None:
    settings = config(render={"profiles": {"glyph-en": {"crop_last_page": True}}})
    prepared = preparer(settings).prepare(
        "r", replace(chat("word"), glyph=GlyphOptions("always", "glyph-en", 72))
    )
    (place,) = prepared.job.generation.prompt.images
    assert (place.rows, place.columns) == (2, 21)
    assert prepared.usage.facts.visual_tokens == place.tokens == 42
    assert prepared.job.pages[0].shape == (56, 588, 3)
