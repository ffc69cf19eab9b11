"""The articles' endpoints as chat completions and back; pure.

`POST /infer {"text"}`, `POST /api/v1/generate {"image", "prompt"}` and `POST /v1/chat` become the
body of a chat completion: there is one way through the engine. Members of their own aside, all
members of a chat completion may be given.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

from inference.api.schema import parse_object
from inference.errors import RequestError

Json = dict[str, object]

_NAMES = (
    ("messages[0].content[0].image_url.url", "image"),
    ("messages[0].content[0].image_url", "image"),
    ("messages[0].content[1].text", "prompt"),
)


@dataclass(frozen=True, slots=True)
class Article:
    """One endpoint: its own members to messages, and the answer to its own shape."""

    messages: Callable[[Json], list[Json]]
    """Messages of a body; takes its own members out of it. Raises RequestError."""
    members: Callable[[Json], Json]
    """The body for the client, from a complete chat completion."""
    names: tuple[tuple[str, str], ...] = ()
    """Where the worker finds a fault, and what the client calls it."""

    def request(self, raw: bytes) -> bytes:
        """The body of the chat completion that is asked for; RequestError."""
        body = dict(parse_object(raw))
        if body.get("stream"):
            raise RequestError("invalid_request", "this endpoint does not stream", "stream")
        messages = self.messages(body)
        # In ASCII: what JSON can spell and UTF-8 cannot is judged where all bodies are.
        return json.dumps({**body, "messages": messages, "stream": False}).encode()

    def failure(self, error: RequestError) -> Json:
        """`{"error": …}`."""
        detail = error.detail
        for theirs, ours in self.names:
            detail = detail.replace(theirs, ours)
        return {"error": detail, "code": error.code}


def _infer(body: Json) -> list[Json]:
    return [{"role": "user", "content": _text(body, "text")}]


def _generate(body: Json) -> list[Json]:
    prompt = _text(body, "prompt")
    image = body.pop("image", None)
    if image is None:
        return [{"role": "user", "content": prompt}]
    if not isinstance(image, str):
        raise RequestError("invalid_request", "image must be base64 text", "image")
    bare = "".join(image.split())  # encoders wrap lines
    url = image if ":" in image[:32] else f"data:image/*;base64,{bare}"
    return [
        {
            "role": "user",
            "content": [
                {"type": "image_url", "image_url": {"url": url}},
                {"type": "text", "text": prompt},
            ],
        }
    ]


def _chat(body: Json) -> list[Json]:
    if "messages" not in body:
        return _generate(body)
    messages = body["messages"]
    if not isinstance(messages, list):
        raise RequestError("invalid_request", "messages must be a list", "messages")
    return messages


def _result(completion: Json) -> Json:
    return {"result": _content(completion)[0]}


def _whole(completion: Json) -> Json:
    text, finish_reason = _content(completion)
    return {
        "result": text,
        "text": text,
        "finish_reason": finish_reason,
        "usage": completion.get("usage"),
    }


def _content(completion: Json) -> tuple[object, object]:
    choices = completion["choices"]
    assert isinstance(choices, list)
    return choices[0]["message"]["content"], choices[0]["finish_reason"]


def _text(body: Json, name: str) -> str:
    text = body.pop(name, None)
    if not isinstance(text, str) or not text:
        raise RequestError("invalid_request", f"{name} must be a text that is not empty", name)
    return text


ARTICLES = {
    "/infer": Article(_infer, _result),
    "/api/v1/generate": Article(_generate, _whole, _NAMES),
    "/v1/chat": Article(_chat, _whole),
}
"""Endpoints by path."""
