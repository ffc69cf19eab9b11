"""Worker and gateway translate the articles' endpoints alike, though neither knows the other."""

from __future__ import annotations

import json
from typing import Any

import pytest

from inference.api import articles as direct
from inference.errors import RequestError
from supervisor.gateway import articles as fronted
from supervisor.gateway.errors import RefusedError

IMAGE = "iVBORw0KGgo="
COMPLETION = {
    "choices": [{"message": {"content": "好"}, "finish_reason": "stop"}],
    "usage": {"total_tokens": 3},
}


def test_there_are_the_same_endpoints() -> None:
    assert direct.ARTICLES.keys() == fronted.ARTICLES.keys()
    for path, article in direct.ARTICLES.items():
        assert article.names == fronted.ARTICLES[path].names


@pytest.mark.parametrize(
    ("path", "body", "messages"),
    [
        ("/infer", {"text": "a", "max_tokens": 3}, [{"role": "user", "content": "a"}]),
        ("/api/v1/generate", {"prompt": "a"}, [{"role": "user", "content": "a"}]),
        (
            "/api/v1/generate",
            {"prompt": "a", "image": f"{IMAGE[:4]}\n{IMAGE[4:]}", "stream": False},
            f"data:image/*;base64,{IMAGE}",
        ),
        ("/api/v1/generate", {"prompt": "a", "image": "data:x"}, "data:x"),
        ("/v1/chat", {"prompt": "a", "image": "https://h/x.png"}, "https://h/x.png"),
        ("/v1/chat", {"messages": [{"role": "user", "content": "\ud800"}]}, None),
    ],
)
def test_requests_are_chat_completions(path: str, body: Any, messages: object) -> None:
    raw = json.dumps(body).encode()
    translated = direct.ARTICLES[path].request(raw)
    assert translated == fronted.ARTICLES[path].request(raw)
    request = json.loads(translated)
    if messages is None:
        messages = body["messages"]
    elif isinstance(messages, str):
        image = {"type": "image_url", "image_url": {"url": messages}}
        messages = [{"role": "user", "content": [image, {"type": "text", "text": "a"}]}]
    assert request.pop("messages") == messages
    kept = {name: body[name] for name in body if name == "max_tokens"}
    assert request == {**kept, "stream": False}


@pytest.mark.parametrize(
    ("path", "body", "code"),
    [
        ("/infer", {}, "text"),
        ("/infer", {"text": ""}, "text"),
        ("/infer", {"text": 5}, "text"),
        ("/infer", [], "object"),
        ("/infer", {"text": "a", "stream": True}, "stream"),
        ("/api/v1/generate", {"image": IMAGE}, "prompt"),
        ("/api/v1/generate", {"prompt": "a", "image": [IMAGE]}, "image"),
        ("/v1/chat", {"messages": "a"}, "messages"),
        ("/v1/chat", {}, "prompt"),
    ],
)
def test_what_is_missing_is_named(path: str, body: object, code: str) -> None:
    raw = json.dumps(body).encode()
    with pytest.raises(RequestError, match=code) as first:
        direct.ARTICLES[path].request(raw)
    with pytest.raises(RefusedError) as second:
        fronted.ARTICLES[path].request(raw)
    assert first.value.status == second.value.problem.status == 422
    assert first.value.detail == second.value.problem.detail


@pytest.mark.parametrize("path", direct.ARTICLES)
def test_answers_have_the_articles_shapes(path: str) -> None:
    answer = direct.ARTICLES[path].members(dict(COMPLETION))
    assert json.loads(fronted.ARTICLES[path].answer(json.dumps(COMPLETION).encode())) == answer
    whole = {"result": "好", "text": "好", "finish_reason": "stop", "usage": {"total_tokens": 3}}
    assert answer == ({"result": "好"} if path == "/infer" else whole)


@pytest.mark.parametrize("path", direct.ARTICLES)
def test_failures_name_what_the_client_sent(path: str) -> None:
    where = "messages[0].content[0].image_url.url"
    error = RequestError("invalid_request", f"{where} is not base64", where)
    answer = direct.ARTICLES[path].failure(error)
    problem = json.dumps({"detail": error.detail, "code": error.code}).encode()
    assert json.loads(fronted.ARTICLES[path].failure(problem)) == answer
    named = "image" if path == "/api/v1/generate" else where
    assert answer == {"error": f"{named} is not base64", "code": "invalid_request"}
