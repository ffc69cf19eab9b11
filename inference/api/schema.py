"""JSON bodies to chat requests: types and bounds checked, the culprit named.

Fields that change nothing here are tolerated, as clients send many. Fields whose effect would be
missing from the answer (several choices, tools …) are refused as unsupported.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping
from typing import NoReturn

from inference.api.content import parse_messages
from inference.api.fields import (
    read_flag,
    read_ids,
    read_integer,
    read_number,
    read_object,
    read_string,
    wrong,
)
from inference.api.sampling import (
    MAX_STOP_TOKENS,
    read_logit_bias,
    read_stops,
    read_top_k,
    read_top_logprobs,
    read_top_p,
)
from inference.batching.chat import ChatRequest, GlyphOptions, KeepText, Mode, Resume
from inference.errors import RequestError

_MODES: Mapping[str, Mode] = {"auto": "auto", "always": "always", "never": "never"}
_KEEP_TEXT: Mapping[str, KeepText] = {"auto": "auto", "never": "never"}
_GLYPH_CLIENT = frozenset({"mode", "profile", "dpi", "keep_text"})
_GLYPH_JOURNAL = frozenset({"resume_token_ids", "resume_text_bytes", "seed", "fingerprint"})
# Field, and the value with which it does nothing.
_UNSUPPORTED: tuple[tuple[str, tuple[object, ...]], ...] = (
    ("n", (1,)),
    ("tools", ([],)),
    ("tool_choice", ("none", "auto")),
    ("functions", ([],)),
    ("function_call", ("none", "auto")),
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
    glyph = read_object(body, "glyph")
    options = read_object(body, "stream_options")
    stream = read_flag(body, "stream")
    seed = read_integer(glyph, "seed", None, None, "glyph.") if journal else None
    if seed is None:
        seed = read_integer(body, "seed", None, None)
    return ChatRequest(
        model=read_string(body, "model"),
        messages=parse_messages(body.get("messages")),
        seed=secrets.randbits(63) if seed is None else seed,
        max_tokens=_max_tokens(body, max_new_tokens_limit),
        temperature=read_number(body, "temperature", 0.0, 2.0),
        top_p=read_top_p(body),
        top_k=read_top_k(body),
        min_p=read_number(body, "min_p", 0.0, 1.0),
        repetition_penalty=read_number(body, "repetition_penalty", 0.01, 10.0),
        frequency_penalty=read_number(body, "frequency_penalty", -2.0, 2.0) or 0.0,
        presence_penalty=read_number(body, "presence_penalty", -2.0, 2.0) or 0.0,
        logit_bias=read_logit_bias(body),
        top_logprobs=read_top_logprobs(body),
        stop=read_stops(body),
        stop_token_ids=tuple(read_ids(body, "stop_token_ids", MAX_STOP_TOKENS)),
        stream=stream,
        include_usage=read_flag(options, "include_usage", "stream_options."),
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


def _max_tokens(body: Mapping[str, object], limit: int) -> int | None:
    newer = read_integer(body, "max_completion_tokens", 1, limit)
    older = read_integer(body, "max_tokens", 1, limit)
    return newer if newer is not None else older


def _glyph(glyph: Mapping[str, object], journal: bool) -> GlyphOptions:
    for name in glyph:
        if name in _GLYPH_JOURNAL and not journal:
            detail = f"glyph.{name} is for requests with the header Glyph-Journal"
            raise RequestError("unsupported", detail, f"glyph.{name}")
        if name not in _GLYPH_CLIENT | _GLYPH_JOURNAL:
            raise RequestError("invalid_request", f"there is no glyph.{name}", f"glyph.{name}")
    mode = read_string(glyph, "mode", "glyph.") or "auto"
    if mode not in _MODES:
        wrong("glyph.mode", "auto, always or never")
    keep_text = read_string(glyph, "keep_text", "glyph.") or "never"
    if keep_text not in _KEEP_TEXT:
        wrong("glyph.keep_text", "auto or never")
    return GlyphOptions(
        mode=_MODES[mode],
        profile=read_string(glyph, "profile", "glyph."),
        dpi=read_integer(glyph, "dpi", None, None, "glyph."),
        keep_text=_KEEP_TEXT[keep_text],
    )


def _resume(glyph: Mapping[str, object]) -> Resume:
    return Resume(
        token_ids=tuple(read_ids(glyph, "resume_token_ids", None, "glyph.")),
        text_bytes=read_integer(glyph, "resume_text_bytes", 0, None, "glyph.") or 0,
        fingerprint=read_string(glyph, "fingerprint", "glyph."),
    )
