"""Bodies of clients: what is taken, what is refused, and how the culprit is named."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from inference.api.schema import parse_chat
from inference.batching.chat import ChatRequest, GlyphOptions, ImageUrl, Message, Resume
from inference.errors import RequestError

USER = {"role": "user", "content": "hi"}


def parse(journal: bool = False, **keys: object) -> ChatRequest:
    return parse_chat(json.dumps({"messages": [USER], **keys}).encode(), 100, journal)


def refused(raw: bytes, journal: bool = False) -> RequestError:
    with pytest.raises(RequestError) as raised:
        parse_chat(raw, 100, journal)
    return raised.value


def test_the_smallest_request() -> None:
    request = parse()
    assert request.messages == (Message("user", ("hi",)),)
    assert (request.model, request.max_tokens, request.temperature) == (None, None, None)
    assert (request.stream, request.stop, request.resume) == (False, (), Resume())
    assert request.glyph == GlyphOptions("auto", None, None)


def test_everything_at_once() -> None:
    request = parse(
        model="m",
        messages=[
            {"role": "developer", "content": "be brief"},
            {
                "role": "user",
                "name": "eve",
                "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}],
            },
            {"role": "assistant", "content": "c", "refusal": None, "tool_calls": None},
            USER,
        ],
        max_tokens=5,
        max_completion_tokens=6,
        temperature=1,
        top_p=0.5,
        top_k=3,
        seed=-4,
        stop=["x", "y"],
        stream=True,
        stream_options={"include_usage": True, "unknown": 1},
        n=1,
        logprobs=False,
        tools=[],
        response_format={"type": "text"},
        user="someone",
        metadata={"any": "thing"},
        store=None,
        glyph={"mode": "always", "profile": "p", "dpi": 96},
    )
    assert [message.role for message in request.messages] == ["system", "user", "assistant", "user"]
    assert request.messages[1].texts == ("a", "b")
    assert (request.max_tokens, request.seed, request.stop) == (6, -4, ("x", "y"))
    assert (request.temperature, request.top_p, request.top_k) == (1.0, 0.5, 3)
    assert (request.stream, request.include_usage) == (True, True)
    assert request.glyph == GlyphOptions("always", "p", 96)


def test_null_means_absent() -> None:
    names = ("model", "max_tokens", "temperature", "top_p", "seed", "stop", "stream", "n", "tools")
    others = ("min_p", "repetition_penalty", "frequency_penalty", "presence_penalty", "logit_bias")
    more = ("logprobs", "top_logprobs", "stop_token_ids", "glyph", "stream_options")
    nothing: dict[str, Any] = dict.fromkeys((*names, *others, *more))
    assert replace(parse(**nothing), seed=1) == parse(seed=1)


def test_how_tokens_are_chosen() -> None:
    request = parse(
        min_p=0.1,
        repetition_penalty=1.2,
        frequency_penalty=-2,
        presence_penalty=2,
        logit_bias={"7": -100, "5": 1.5, "007": 2},
        stop_token_ids=[9, 8],
    )
    assert (request.min_p, request.repetition_penalty) == (0.1, 1.2)
    assert (request.frequency_penalty, request.presence_penalty) == (-2.0, 2.0)
    assert request.logit_bias == ((5, 1.5), (7, 2.0))
    assert request.stop_token_ids == (9, 8)


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ({}, None),
        ({"logprobs": False, "top_logprobs": 0}, None),
        ({"logprobs": True}, 0),
        ({"logprobs": True, "top_logprobs": 0}, 0),
        ({"logprobs": True, "top_logprobs": 20}, 20),
    ],
)
def test_probabilities_are_told_where_asked_for(keys: dict[str, object], told: int | None) -> None:
    assert parse(**keys).top_logprobs == told  # type: ignore[arg-type]


def test_one_stop_string_may_stand_alone() -> None:
    assert parse(stop="END").stop == ("END",)


def test_top_k_of_minus_one_is_all() -> None:
    assert parse(top_k=-1).top_k == 0


def test_without_a_seed_each_request_gets_its_own() -> None:
    assert parse().seed != parse().seed


def test_the_gateways_part() -> None:
    glyph = {
        "resume_token_ids": [1, 2],
        "resume_text_bytes": 7,
        "seed": 9,
        "fingerprint": "abc",
        "mode": "never",
    }
    request = parse(journal=True, glyph=glyph, seed=1)
    assert request.resume == Resume((1, 2), 7, "abc")
    assert request.seed == 9
    assert refused(json.dumps({"messages": [USER], "glyph": glyph}).encode()).code == "unsupported"


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "not JSON"),
        (b"{", "not JSON"),
        (b"[]", "object"),
        (b'"text"', "object"),
        (b'{"temperature": NaN}', "not JSON"),
        (b'{"temperature": -Infinity}', "not JSON"),
        (b"\xff\xfe", "UTF-8"),
        (b"[" * 200_000, "nested"),
        (b'{"seed": ' + b"9" * 5000 + b"}", "not JSON"),
    ],
    ids=["empty", "cut", "list", "string", "nan", "infinity", "bytes", "deep", "digits"],
)
def test_bodies_that_are_no_request(raw: bytes, words: str) -> None:
    error = refused(raw)
    assert (error.status, error.code) == (422, "invalid_request")
    assert words in error.detail


@pytest.mark.parametrize(
    ("name", "value", "param"),
    [
        ("messages", None, "messages"),
        ("messages", [], "messages"),
        ("messages", "hi", "messages"),
        ("messages", ["hi"], "messages[0]"),
        ("messages", [USER, {"content": "x"}], "messages[1].role"),
        ("messages", [{"role": "robot", "content": "x"}], "messages[0].role"),
        ("messages", [{"role": ["user"], "content": "x"}], "messages[0].role"),
        ("messages", [{"role": "user"}], "messages[0].content"),
        ("messages", [{"role": "user", "content": 5}], "messages[0].content"),
        ("messages", [{"role": "user", "content": []}], "messages[0].content"),
        ("messages", [{"role": "user", "content": ["x"]}], "messages[0].content[0]"),
        ("messages", [{"role": "user", "content": [{}]}], "messages[0].content[0].type"),
        (
            "messages",
            [{"role": "user", "content": [{"type": "text"}]}],
            "messages[0].content[0].text",
        ),
        ("messages", [{"role": "user", "content": "\ud800"}], "messages[0].content"),
        ("model", 5, "model"),
        ("max_tokens", 0, "max_tokens"),
        ("max_tokens", 101, "max_tokens"),
        ("max_tokens", 1.5, "max_tokens"),
        ("max_tokens", True, "max_tokens"),
        ("max_completion_tokens", "5", "max_completion_tokens"),
        ("temperature", -0.1, "temperature"),
        ("temperature", 2.1, "temperature"),
        ("temperature", "hot", "temperature"),
        ("temperature", True, "temperature"),
        ("temperature", 10**400, "temperature"),
        ("top_p", 0, "top_p"),
        ("top_p", 1.1, "top_p"),
        ("top_k", -2, "top_k"),
        ("top_k", 1.0, "top_k"),
        ("seed", 1.5, "seed"),
        ("stop", 5, "stop"),
        ("stop", ["x"] * 17, "stop"),
        ("stop", ["x", 5], "stop[1]"),
        ("stop", [""], "stop[0]"),
        ("stop", "x" * 257, "stop[0]"),
        ("stream", "yes", "stream"),
        ("stream_options", [], "stream_options"),
        ("stream_options", {"include_usage": 1}, "stream_options.include_usage"),
        ("min_p", 1.1, "min_p"),
        ("min_p", "x", "min_p"),
        ("repetition_penalty", 0, "repetition_penalty"),
        ("repetition_penalty", 11, "repetition_penalty"),
        ("frequency_penalty", 2.1, "frequency_penalty"),
        ("presence_penalty", -2.1, "presence_penalty"),
        ("logit_bias", [], "logit_bias"),
        ("logit_bias", {"x": 1}, "logit_bias"),
        ("logit_bias", {"-1": 1}, "logit_bias"),
        ("logit_bias", {"５": 1}, "logit_bias"),
        ("logit_bias", {"5": 101}, "logit_bias.5"),
        ("logit_bias", {"5": None}, "logit_bias.5"),
        ("logit_bias", {str(token): 1 for token in range(1025)}, "logit_bias"),
        ("logprobs", 1, "logprobs"),
        ("top_logprobs", 3, "top_logprobs"),
        ("top_logprobs", 21, "top_logprobs"),
        ("stop_token_ids", 5, "stop_token_ids"),
        ("stop_token_ids", [True], "stop_token_ids"),
        ("stop_token_ids", [-1], "stop_token_ids"),
        ("stop_token_ids", list(range(65)), "stop_token_ids"),
        ("glyph", "always", "glyph"),
        ("glyph", {"mode": "sometimes"}, "glyph.mode"),
        ("glyph", {"mode": 1}, "glyph.mode"),
        ("glyph", {"dpi": 72.5}, "glyph.dpi"),
        ("glyph", {"profile": 1}, "glyph.profile"),
        ("glyph", {"modus": "auto"}, "glyph.modus"),
    ],
)
def test_wrong_values_are_named(name: str, value: object, param: str) -> None:
    error = refused(json.dumps({"messages": [USER], name: value}).encode())
    assert (error.status, error.code, error.param) == (422, "invalid_request", param)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("resume_token_ids", "1"),
        ("resume_token_ids", [1.0]),
        ("resume_token_ids", [True]),
        ("resume_token_ids", [-1]),
        ("resume_text_bytes", -1),
        ("fingerprint", 5),
        ("seed", "x"),
    ],
)
def test_wrong_values_of_the_gateway_are_named(name: str, value: object) -> None:
    body = {"messages": [USER], "glyph": {name: value}}
    error = refused(json.dumps(body).encode(), journal=True)
    assert (error.code, error.param) == ("invalid_request", f"glyph.{name}")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("n", 2),
        ("tools", [{"type": "function"}]),
        ("tool_choice", "required"),
        ("functions", [{}]),
        ("response_format", {"type": "json_object"}),
        ("modalities", ["text", "audio"]),
        ("audio", {}),
    ],
)
def test_what_would_be_missing_is_refused(name: str, value: object) -> None:
    error = refused(json.dumps({"messages": [USER], name: value}).encode())
    assert (error.status, error.code, error.param) == (422, "unsupported", name)


@pytest.mark.parametrize(
    "message",
    [
        {"role": "tool", "content": "x"},
        {"role": "assistant", "content": "x", "tool_calls": [{}]},
        {
            "role": "user",
            "content": [{"type": "image_url", "image_url": {"url": "http://x/y.png"}}],
        },
        {"role": "system", "content": [{"type": "image_url", "image_url": {"url": "data:"}}]},
        {"role": "user", "content": [{"type": "input_audio"}]},
    ],
)
def test_messages_that_are_not_supported(message: dict[str, object]) -> None:
    assert refused(json.dumps({"messages": [message]}).encode()).code == "unsupported"


def test_pictures_keep_their_place_in_the_message() -> None:
    content = [
        {"type": "text", "text": "a"},
        {"type": "image_url", "image_url": {"url": "data:1", "detail": "high"}},
        {"type": "text", "text": "b"},
    ]
    raw = json.dumps({"messages": [{"role": "user", "content": content}]}).encode()
    (message,) = parse_chat(raw, 99, journal=False).messages
    assert message.parts == ("a", ImageUrl("data:1", "messages[0].content[1].image_url.url"), "b")
    assert (message.texts, len(message.images)) == (("a", "b"), 1)


@pytest.mark.parametrize("image", [None, "data:1", {}, {"url": 5}])
def test_pictures_have_an_address(image: object) -> None:
    content = [{"type": "image_url", "image_url": image}]
    error = refused(json.dumps({"messages": [{"role": "user", "content": content}]}).encode())
    assert (error.code, error.status) == ("invalid_request", 422)
    assert "messages[0].content[0].image_url" in error.detail
