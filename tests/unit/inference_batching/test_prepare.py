"""From request to job: what is drawn, what fits, what an earlier attempt left behind."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from inference.batching.chat import ChatRequest, GlyphOptions, ImageUrl, Message, Mode, Resume
from inference.batching.prepare import Prepared, Preparer
from inference.config import InferenceConfig, decode
from inference.engine.values import EngineFacts, Sampling
from inference.errors import RequestError
from tests.unit.inference_engine.oracle import tokenizer
from tests.unit.inference_engine.tiny import SPECIAL
from tests.unit.inference_picture.draw import encoded, noise, url

DATA = Path(__file__).parents[2] / "data"
END = SPECIAL.index("<|endoftext|>")
PAGE_TOKENS = 21 * 30
SMALL = 10 * 15
"""Visual tokens of a page at 36 dpi (294 x 420 pixels, rounded to 280 x 420)."""
LONG = "the lazy dog jumps over the quick brown fox " * 60


def config(**keys: object) -> InferenceConfig:
    return decode({"kv": {"slots": 2, "length": 8192}, **keys})


def preparer(settings: InferenceConfig | None = None, fingerprint: str = "f" * 16) -> Preparer:
    settings = settings or config()
    facts = EngineFacts(
        "tiny", fingerprint, 2, settings.kv.length, 512, frozenset({END}), Sampling(0.5, 0.9, 7)
    )
    return Preparer(settings, facts, tokenizer())


def chat(*texts: str, mode: Mode = "auto", dpi: int | None = 36, **keys: object) -> ChatRequest:
    messages = (Message("user", texts),)
    return replace(
        ChatRequest(None, messages, seed=3, glyph=GlyphOptions(mode, None, dpi)),
        **keys,  # type: ignore[arg-type]
    )


def prepare(request: ChatRequest) -> Prepared:
    return preparer().prepare("r", request)


def refused(request: ChatRequest, settings: InferenceConfig | None = None) -> RequestError:
    with pytest.raises(RequestError) as raised:
        preparer(settings).prepare("r", request)
    return raised.value


@pytest.mark.parametrize("name", ["genesis-kjv.txt", "tang-poems.txt"])
def test_no_character_of_a_real_text_is_lost(name: str) -> None:
    text = (DATA / name).read_text("utf-8")
    profile = "glyph-zh" if name.startswith("tang") else "glyph-en"
    request = replace(chat(text), glyph=GlyphOptions("always", profile, 36), max_tokens=5)
    prepared = preparer(config(kv={"slots": 1, "length": 16384})).prepare("r", request)
    facts = prepared.usage.facts
    assert facts.characters == facts.characters_laid_out == len(text) >= 20_000
    assert facts.missing_glyphs == 0
    assert facts.pages == len(prepared.job.pages) == len(prepared.job.generation.prompt.images)
    assert facts.visual_tokens == sum(p.tokens for p in prepared.job.generation.prompt.images)
    assert facts.replaced_text_tokens == len(tokenizer().encode(text))
    assert facts.compression == facts.replaced_text_tokens / facts.visual_tokens


def test_always_draws_even_a_word() -> None:
    prepared = prepare(chat("word", mode="always"))
    assert prepared.usage.facts.mode == "always"
    assert prepared.usage.facts.pages == 1
    assert prepared.usage.facts.visual_tokens == SMALL
    text_tokens = prepared.usage.members(0)["prompt_tokens_details"]["text_tokens"]  # type: ignore[index]
    assert text_tokens == prepared.usage.prompt_tokens - SMALL


def test_never_draws_nothing() -> None:
    facts = prepare(chat(LONG, mode="never")).usage.facts
    assert (facts.mode, facts.pages, facts.characters, facts.compression) == ("never", 0, 0, None)


def test_auto_draws_what_costs_less_as_pages() -> None:
    short, long = prepare(chat("short")), prepare(chat(LONG))
    assert (short.usage.facts.mode, short.usage.facts.pages) == ("never", 0)
    assert long.usage.facts.mode == "always"
    assert long.usage.facts.visual_tokens < long.usage.facts.replaced_text_tokens


def test_auto_leaves_as_text_what_would_cost_more_as_pages() -> None:
    facts = prepare(chat("a\n" * 200)).usage.facts
    tokens = len(tokenizer().encode("a\n" * 200))
    assert tokens > SMALL  # one page would be worth it, but the lines need several
    assert facts.pages == 0


def test_the_last_of_several_texts_is_the_question() -> None:
    prepared = prepare(chat("document", "another", "what?", mode="always"))
    ids = prepared.job.generation.prompt.token_ids
    written = b"".join(tokenizer().piece(token) for token in ids)
    assert prepared.usage.facts.pages == 2
    assert prepared.usage.facts.characters == len("document" + "another")
    assert b"what?" in written
    assert b"document" not in written


def test_only_users_have_documents() -> None:
    messages = (Message("system", (LONG,)), Message("user", ("x",)), Message("assistant", (LONG,)))
    prepared = prepare(chat(mode="always", messages=messages))
    assert prepared.usage.facts.characters == 1


def test_mixed_decisions_are_called_auto() -> None:
    assert prepare(chat(LONG, "short document", "what?")).usage.facts.mode == "auto"


def test_an_empty_document_has_no_page() -> None:
    assert prepare(chat("", mode="always")).usage.facts.pages == 0


def test_defaults_are_the_models() -> None:
    assert prepare(chat("x")).job.generation.sampling == Sampling(0.5, 0.9, 7, 3)
    told = prepare(chat("x", temperature=0.0, top_p=1.0, top_k=0)).job.generation.sampling
    assert told == Sampling(0.0, 1.0, 0, 3)


def test_penalties_and_bias_reach_the_engine() -> None:
    told = prepare(
        chat(
            "x",
            min_p=0.1,
            repetition_penalty=1.5,
            frequency_penalty=0.5,
            presence_penalty=-0.5,
            logit_bias=((511, 2.0),),
            top_logprobs=4,
        )
    )
    expected = Sampling(0.5, 0.9, 7, 3, 0.1, 1.5, 0.5, -0.5, ((511, 2.0),), 4)
    assert told.job.generation.sampling == expected
    assert told.spell is not None
    assert prepare(chat("x")).spell is None


def test_stop_tokens_end_the_answer_as_end_tokens_do() -> None:
    ids = tuple(tokenizer().encode("abc"))
    ended = prepare(chat("x", stop_token_ids=(ids[2],), resume=Resume(ids, 1))).ended
    assert ended is not None
    assert (ended.finish_reason, ended.text, ended.text_bytes) == ("stop", "b", 2)
    job = prepare(chat("x", stop_token_ids=(ids[2],))).job
    assert [job.text.push(token) for token in ids] == ["a", "b", ""]
    assert job.text.ended


def test_length_of_the_answer() -> None:
    settings = config(kv={"length": 128}, max_new_tokens=100, max_new_tokens_limit=120)
    made = preparer(settings)
    short = made.prepare("r", chat("hi")).job.generation
    assert short.max_new_tokens == 100
    words = made.prepare("r", chat("fox " * 60, mode="never")).job.generation
    assert words.max_new_tokens == 128 - len(words.prompt.token_ids) < 100
    assert made.prepare("r", chat("hi", max_tokens=7)).job.generation.max_new_tokens == 7


@pytest.mark.parametrize(
    ("request_", "code", "param"),
    [
        (chat("x" * 2001), "context_length_exceeded", "messages"),
        (chat("\n" * 2000, mode="always"), "context_length_exceeded", "messages"),
        (chat("y" * 2000, mode="never"), "context_length_exceeded", "messages"),
        (chat("hi", max_tokens=512), "context_length_exceeded", "messages"),
        (chat("hi", dpi=1000), "invalid_request", "glyph.dpi"),
        (chat("hi", glyph=GlyphOptions(profile="none")), "invalid_request", "glyph.profile"),
        (chat("hi", resume=Resume(fingerprint="x")), "fingerprint_mismatch", "glyph.fingerprint"),
        (chat("hi", resume=Resume((20, 512))), "invalid_request", "glyph.resume_token_ids"),
        (chat("hi", stop_token_ids=(20, 512)), "invalid_request", "stop_token_ids"),
        (chat("hi", logit_bias=((512, 1.0),)), "invalid_request", "logit_bias"),
        (chat("hi", resume=Resume((END, 20))), "invalid_request", "glyph.resume_token_ids"),
        (
            chat("hi", max_tokens=1, resume=Resume((20, 20))),
            "invalid_request",
            "glyph.resume_token_ids",
        ),
        (chat("hi", resume=Resume((), 1)), "invalid_request", "glyph.resume_text_bytes"),
    ],
)
def test_refusals(request_: ChatRequest, code: str, param: str) -> None:
    settings = config(
        kv={"length": 512},
        max_new_tokens=100,
        max_new_tokens_limit=511,
        limits={"characters": 2000, "pages": 4},
    )
    error = refused(request_, settings)
    assert (error.code, error.param) == (code, param)


def test_too_many_pages_are_refused_before_drawing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("inference.batching.parts.render_pages", None)
    assert refused(chat("\n" * 4000, mode="always"), config(limits={"pages": 2})).status == 413


def test_fingerprint_tells_what_matters() -> None:
    one = prepare(chat("x")).fingerprint
    assert prepare(chat("y")).fingerprint == one
    assert prepare(chat("x", mode="always")).fingerprint != one
    assert preparer(fingerprint="0" * 16).prepare("r", chat("x")).fingerprint != one
    assert prepare(chat("x", resume=Resume(fingerprint=one))).fingerprint == one
    other = config(render={"profiles": {"glyph-en": {"font_size_pt": 8.0}}})
    assert preparer(other).prepare("r", chat("x")).fingerprint != one


def test_resuming_keeps_what_was_held_back() -> None:
    fox = tokenizer().encode("🦊")
    assert len(fox) == 4
    ids = (*tokenizer().encode("a"), *fox[:2])
    prepared = prepare(chat("x", resume=Resume(ids, 1)))
    job = prepared.job
    assert prepared.ended is None
    assert job.unsent == ""
    assert job.emitted == list(ids)
    assert job.to_fill == len(job.generation.prompt.token_ids) + 3
    assert [job.text.push(token) for token in fox[2:]] == ["", "🦊"]
    assert job.text.released_bytes == 5


def test_text_that_never_arrived_is_sent_again() -> None:
    ids = tuple(tokenizer().encode("abc霞"))
    assert prepare(chat("x", resume=Resume(ids, 3))).job.unsent == "霞"
    assert prepare(chat("x", resume=Resume(ids, 0))).job.unsent == "abc霞"


@pytest.mark.parametrize(
    ("keys", "text", "reason", "rest"),
    [
        ({"max_tokens": 3}, "abc", "length", ""),
        ({"stop": ("c",)}, "abc", "stop", ""),
        ({"max_tokens": 3, "stop": ("cd",)}, "abc", "length", "c"),
    ],
)
def test_an_answer_that_had_ended(
    keys: dict[str, object], text: str, reason: str, rest: str
) -> None:
    ids = tuple(tokenizer().encode(text))
    assert len(ids) == 3
    delivered = 2 if rest or reason == "stop" else 3
    ended = prepare(replace(chat("x", resume=Resume(ids, delivered)), **keys)).ended  # type: ignore[arg-type]
    assert ended is not None
    assert (ended.finish_reason, ended.text, ended.index, ended.token_ids) == (reason, rest, 3, ())


def test_an_answer_that_had_ended_with_an_end_token() -> None:
    ids = (*tokenizer().encode("ab"), END)
    ended = prepare(chat("x", resume=Resume(ids, 1))).ended
    assert ended is not None
    assert (ended.finish_reason, ended.text, ended.text_bytes) == ("stop", "b", 2)


def shown(height: int, width: int, param: str = "p", kind: str = "PNG") -> ImageUrl:
    return ImageUrl(url(encoded(noise(height, width), kind)), param)


def test_pictures_and_pages_stand_in_the_prompt_in_their_order() -> None:
    parts = (shown(112, 140), LONG, shown(280, 56, "q", "WEBP"), "what is it?")
    request = replace(chat("x", mode="always"), messages=(Message("user", parts),))
    prepared = prepare(request)
    prompt = prepared.job.generation.prompt
    grids = [(place.rows, place.columns) for place in prompt.images]
    sizes = [page.shape for page in prepared.job.pages]
    assert grids[0] == (4, 5)
    assert grids[-1] == (10, 2)
    assert [(height // 28, width // 28) for height, width, _ in sizes] == grids
    facts = prepared.usage.facts
    assert (facts.images, facts.pages) == (2, len(grids) - 2)
    assert facts.image_tokens == 40
    assert facts.visual_tokens == sum(place.tokens for place in prompt.images)
    assert facts.compression == facts.replaced_text_tokens / (facts.visual_tokens - 40)
    assert facts.characters == len(LONG)


def test_a_text_beside_a_picture_is_a_question() -> None:
    parts = (shown(112, 112), LONG)
    request = replace(chat("x", mode="always"), messages=(Message("user", parts),))
    facts = prepare(request).usage.facts
    assert (facts.pages, facts.images, facts.compression) == (0, 1, None)


def test_cropped_pages_have_their_own_sizes() -> None:
    profiles = {"glyph-en": {"crop_last_page": True, "crop_width": True}}
    prepared = preparer(config(render={"profiles": profiles})).prepare(
        "r", chat("a b", mode="always")
    )
    (place,) = prepared.job.generation.prompt.images
    (page,) = prepared.job.pages
    assert page.shape[:2] == (place.rows * 28, place.columns * 28)
    assert prepared.usage.facts.visual_tokens == place.tokens < SMALL


@pytest.mark.parametrize(
    ("address", "reason"),
    [("data:image/png;base64,aGk=", "no PNG"), (url(encoded(noise(99, 99))[:-50]), "broken")],
)
def test_a_bad_picture_names_its_part(address: str, reason: str) -> None:
    image = ImageUrl(address, "messages[0].content[2].image_url.url")
    request = replace(chat("x"), messages=(Message("user", ("a", shown(99, 99), image)),))
    error = refused(request)
    assert (error.status, error.code, error.param) == (422, "invalid_request", image.param)
    assert image.param in error.detail
    assert reason in error.detail


def test_too_many_pictures_or_tokens_are_refused_before_decoding() -> None:
    broken = [
        ImageUrl(url(encoded(noise(1600, 1600), "JPEG")[:-900]), str(number)) for number in range(3)
    ]
    request = replace(chat("x"), messages=(Message("user", tuple(broken)),))
    assert "together they may be 8192" in refused(request).detail
    few = config(limits={"pages": 2})
    assert refused(request, few).detail == "the messages have 3 images; the limit is 2"
