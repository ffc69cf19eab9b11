"""JSON bodies to chat requests: types and bounds checked, the culprit named.

Fields that change nothing here are tolerated, as clients send many. Fields whose effect would be
missing from the answer (several choices, tools, penalties …) are refused as unsupported.
"""

from __future__ import annotations

import json
import math
import secrets
from collections.abc import Mapping
from typing import NoReturn, TypeVar

from inference.api.content import parse_messages
from inference.batching.chat import ChatRequest, GlyphOptions, KeepText, Mode, Resume
from inference.errors import RequestError

MAX_STOPS = 16
MAX_STOP_CHARACTERS = 256
_MODES: Mapping[str, Mode] = {"auto": "auto", "always": "always", "never": "never"}
_KEEP_TEXT: Mapping[str, KeepText] = {"auto": "auto", "never": "never"}
_GLYPH_CLIENT = frozenset({"mode", "profile", "dpi", "keep_text"})
_GLYPH_JOURNAL = frozenset({"resume_token_ids", "resume_text_bytes", "seed", "fingerprint"})
_N = TypeVar("_N", int, float)
# Field, and the value with which it does nothing.
_UNSUPPORTED: tuple[tuple[str, tuple[object, ...]], ...] = (
    ("n", (1,)),
    ("logprobs", (False,)),
    ("top_logprobs", (0,)),
    ("tools", ([],)),
    ("tool_choice", ("none", "auto")),
    ("functions", ([],)),
    ("function_call", ("none", "auto")),
    ("logit_bias", ({},)),
    ("presence_penalty", (0,)),
    ("frequency_penalty", (0,)),
    ("repetition_penalty", (1,)),
    ("response_format", ({"type": "text"},)),
    ("modalities", (["text"],)),
    ("audio", ()),
    ("echo", (False,)),
    ("best_of", (1,)),
    ("min_tokens", (0,)),
)


def parse_chat(raw: bytes, max_new_tokens_limit: int, journal: bool) -> ChatRequest:
    """The request in a body; `journal` allows what only the gateway may say.

    Raises RequestError with code invalid_request or unsupported.
    """
    body = parse_object(raw)
    for name, harmless in _UNSUPPORTED:
        value = body.get(name)
        if value is not None and value not in harmless:
            raise RequestError("unsupported", f"{name} is not supported", name)
    glyph = _object(body, "glyph")
    options = _object(body, "stream_options")
    stream = _flag(body, "stream")
    seed = _integer(glyph, "seed", None, None, "glyph.") if journal else None
    if seed is None:
        seed = _integer(body, "seed", None, None)
    return ChatRequest(
        model=_string(body, "model"),
        messages=parse_messages(body.get("messages")),
        seed=secrets.randbits(63) if seed is None else seed,
        max_tokens=_max_tokens(body, max_new_tokens_limit),
        temperature=_number(body, "temperature", 0.0, 2.0),
        top_p=_top_p(body),
        top_k=_top_k(body),
        stop=_stops(body),
        stream=stream,
        include_usage=_flag(options, "include_usage", "stream_options."),
        glyph=_glyph(glyph, journal),
        resume=_resume(glyph) if journal else Resume(),
    )


def parse_object(raw: bytes) -> Mapping[str, object]:
    """The JSON object in a body. Raises RequestError."""
    try:
        body = json.loads(raw.decode("utf-8"), parse_constant=_no_constant)
    except UnicodeDecodeError:
        raise RequestError("invalid_request", "the body is not UTF-8") from None
    except RecursionError:
        raise RequestError("invalid_request", "the body is nested too deeply") from None
    except ValueError as error:
        raise RequestError("invalid_request", f"the body is not JSON: {error}") from None
    if not isinstance(body, dict):
        raise RequestError("invalid_request", "the body must be a JSON object")
    return body


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _wrong(param: str, wanted: str) -> NoReturn:
    raise RequestError("invalid_request", f"{param} must be {wanted}", param)


def _object(body: Mapping[str, object], name: str) -> Mapping[str, object]:
    value = body.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        _wrong(name, "an object")
    return value


def _string(body: Mapping[str, object], name: str, prefix: str = "") -> str | None:
    value = body.get(name)
    if value is None or isinstance(value, str):
        return value
    _wrong(prefix + name, "a string")


def _flag(body: Mapping[str, object], name: str, prefix: str = "") -> bool:
    value = body.get(name)
    if value is None or isinstance(value, bool):
        return bool(value)
    _wrong(prefix + name, "true or false")


def _integer(
    body: Mapping[str, object], name: str, low: int | None, high: int | None, prefix: str = ""
) -> int | None:
    value = body.get(name)
    if value is None:
        return None
    if type(value) is not int:
        _wrong(prefix + name, "a whole number")
    return _within(value, prefix + name, low, high)


def _number(body: Mapping[str, object], name: str, low: float, high: float) -> float | None:
    value = body.get(name)
    if value is None:
        return None
    if type(value) not in (int, float) or not isinstance(value, int | float):
        _wrong(name, "a number")
    if isinstance(value, float) and not math.isfinite(value):
        _wrong(name, "a finite number")
    return float(_within(value, name, low, high))


def _within(value: _N, param: str, low: _N | None, high: _N | None) -> _N:
    if low is not None and value < low:
        _wrong(param, f"at least {low}")
    if high is not None and value > high:
        _wrong(param, f"at most {high}")
    return value


def _max_tokens(body: Mapping[str, object], limit: int) -> int | None:
    newer = _integer(body, "max_completion_tokens", 1, limit)
    older = _integer(body, "max_tokens", 1, limit)
    return newer if newer is not None else older


def _top_p(body: Mapping[str, object]) -> float | None:
    top_p = _number(body, "top_p", 0.0, 1.0)
    if top_p == 0:
        _wrong("top_p", "above 0")
    return top_p


def _top_k(body: Mapping[str, object]) -> int | None:
    """-1 is how other servers say "all"."""
    top_k = _integer(body, "top_k", -1, None)
    return 0 if top_k == -1 else top_k


def _stops(body: Mapping[str, object]) -> tuple[str, ...]:
    value = body.get("stop")
    listed = [value] if isinstance(value, str) else value
    if listed is None:
        return ()
    if not isinstance(listed, list) or len(listed) > MAX_STOPS:
        _wrong("stop", f"a string or a list of at most {MAX_STOPS} strings")
    stops = []
    for number, stop in enumerate(listed):
        if not isinstance(stop, str) or not 0 < len(stop) <= MAX_STOP_CHARACTERS:
            _wrong(f"stop[{number}]", f"a string of 1 to {MAX_STOP_CHARACTERS} characters")
        stops.append(stop)
    return tuple(stops)


def _glyph(glyph: Mapping[str, object], journal: bool) -> GlyphOptions:
    for name in glyph:
        if name in _GLYPH_JOURNAL and not journal:
            detail = f"glyph.{name} is for requests with the header Glyph-Journal"
            raise RequestError("unsupported", detail, f"glyph.{name}")
        if name not in _GLYPH_CLIENT | _GLYPH_JOURNAL:
            raise RequestError("invalid_request", f"there is no glyph.{name}", f"glyph.{name}")
    mode = _string(glyph, "mode", "glyph.") or "auto"
    if mode not in _MODES:
        _wrong("glyph.mode", "auto, always or never")
    keep_text = _string(glyph, "keep_text", "glyph.") or "never"
    if keep_text not in _KEEP_TEXT:
        _wrong("glyph.keep_text", "auto or never")
    return GlyphOptions(
        mode=_MODES[mode],
        profile=_string(glyph, "profile", "glyph."),
        dpi=_integer(glyph, "dpi", None, None, "glyph."),
        keep_text=_KEEP_TEXT[keep_text],
    )


def _resume(glyph: Mapping[str, object]) -> Resume:
    ids = glyph.get("resume_token_ids")
    if ids is None:
        ids = []
    if not isinstance(ids, list) or any(type(item) is not int or item < 0 for item in ids):
        _wrong("glyph.resume_token_ids", "a list of token ids")
    return Resume(
        token_ids=tuple(ids),
        text_bytes=_integer(glyph, "resume_text_bytes", 0, None, "glyph.") or 0,
        fingerprint=_string(glyph, "fingerprint", "glyph."),
    )
