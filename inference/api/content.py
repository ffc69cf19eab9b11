"""The messages of a chat completion."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NoReturn

from inference.batching.chat import ImageUrl, Message, Role
from inference.errors import RequestError

_ROLES: Mapping[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
}


def parse_messages(value: object) -> tuple[Message, ...]:
    """The conversation. Raises RequestError naming the part that is wrong."""
    if not isinstance(value, list) or not value:
        _wrong("messages", "a list with at least one message")
    return tuple(_message(item, f"messages[{number}]") for number, item in enumerate(value))


def _message(value: object, param: str) -> Message:
    if not isinstance(value, dict):
        _wrong(param, "an object")
    role = value.get("role")
    if role in ("tool", "function") or value.get("tool_calls") or value.get("function_call"):
        raise RequestError("unsupported", "tools are not supported", param)
    if not isinstance(role, str) or role not in _ROLES:
        _wrong(f"{param}.role", "system, developer, user or assistant")
    parts = _parts(value.get("content"), f"{param}.content")
    message = Message(_ROLES[role], parts)
    if message.images and message.role != "user":
        raise RequestError("unsupported", "only users send images", message.images[0].param)
    return message


def _parts(content: object, param: str) -> tuple[str | ImageUrl, ...]:
    if isinstance(content, str):
        return (_encodable(content, param),)
    if not isinstance(content, list) or not content:
        _wrong(param, "a string or a list of parts")
    return tuple(_part(part, f"{param}[{number}]") for number, part in enumerate(content))


def _part(part: object, param: str) -> str | ImageUrl:
    if not isinstance(part, dict):
        _wrong(param, "an object")
    kind = part.get("type")
    if not isinstance(kind, str):
        _wrong(f"{param}.type", "a string")
    if kind == "image_url":
        return _image(part.get("image_url"), f"{param}.image_url")
    if kind != "text":
        raise RequestError("unsupported", f"parts of type {kind!r} are not supported", param)
    text = part.get("text")
    if not isinstance(text, str):
        _wrong(f"{param}.text", "a string")
    return _encodable(text, f"{param}.text")


def _image(value: object, param: str) -> ImageUrl:
    """`detail` is tolerated: the model's own rules decide the size."""
    if not isinstance(value, dict):
        _wrong(param, "an object")
    url = value.get("url")
    if not isinstance(url, str):
        _wrong(f"{param}.url", "a string")
    if url[:5].lower() != "data:":
        detail = f"{param}.url must be a data URL: addresses are never fetched"
        raise RequestError("unsupported", detail, f"{param}.url")
    return ImageUrl(url, f"{param}.url")


def _encodable(text: str, param: str) -> str:
    """JSON can spell half a surrogate pair; UTF-8 and the tokenizer cannot."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        _wrong(param, "text without unpaired surrogates")
    return text


def _wrong(param: str, wanted: str) -> NoReturn:
    raise RequestError("invalid_request", f"{param} must be {wanted}", param)
