"""The articles' endpoints as chat completions and back; pure, bytes in and bytes out.

`POST /infer {"text"}`, `POST /api/v1/generate {"image", "prompt"}` and `POST /v1/chat` become the
body of a chat completion, so that they are held, replayed and resumed like every other request.
Members of their own aside, all members of a chat completion may be given.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass

from supervisor.gateway.call import invalid, load_object
from supervisor.gateway.wire import Json, encode

_NAMES = (
    ("messages[0].content[0].image_url.url", "image"),
    ("messages[0].content[0].image_url", "image"),
    ("messages[0].content[1].text", "prompt"),
)


@dataclass(frozen=True, slots=True)
class Article:
    """One endpoint: its own members to messages, and the text of the answer to its own shape."""

    messages: Callable[[Json], list[Json]]
    """Messages of a body; takes its own members out of it. RefusedError (422)."""
    members: Callable[[Json], Json]
    names: tuple[tuple[str, str], ...] = ()
    """Where the worker finds a fault, and what the client calls it."""

    def request(self, raw: bytes) -> bytes:
        """The body of the chat completion that is asked for; RefusedError (422)."""
        body = load_object(raw)
        if body.get("stream"):
            raise invalid("this endpoint does not stream", "stream")
        messages = self.messages(body)
        # In ASCII: what JSON can spell and UTF-8 cannot is judged where all bodies are.
        return json.dumps({**body, "messages": messages, "stream": False}).encode()

    def answer(self, completion: bytes) -> bytes:
        """The body for the client, from that of a complete chat completion."""
        return encode(self.members(json.loads(completion)))

    def failure(self, body: bytes) -> bytes:
        """`{"error": …}` from a problem."""
        members = json.loads(body)
        detail = str(members["detail"])
        for theirs, ours in self.names:
            detail = detail.replace(theirs, ours)
        return encode({"error": detail, "code": members["code"]})


def _infer(body: Json) -> list[Json]:
    return [{"role": "user", "content": _text(body, "text")}]


def _generate(body: Json) -> list[Json]:
    prompt = _text(body, "prompt")
    image = body.pop("image", None)
    if image is None:
        return [{"role": "user", "content": prompt}]
    if not isinstance(image, str):
        raise invalid("image must be base64 text", "image")
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
        raise invalid("messages must be a list", "messages")
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
        raise invalid(f"{name} must be a text that is not empty", name)
    return text


ARTICLES = {
    "/infer": Article(_infer, _result),
    "/api/v1/generate": Article(_generate, _whole, _NAMES),
    "/v1/chat": Article(_chat, _whole),
}
"""Endpoints by path."""
