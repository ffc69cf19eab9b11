"""What a client asks for: its body, checked as far as the gateway must understand it."""

import json
from dataclasses import dataclass

from supervisor.gateway.errors import RefusedError, problem
from supervisor.gateway.wire import Json

_INTERNAL = ("resume_token_ids", "resume_text_bytes", "seed", "fingerprint")


@dataclass(frozen=True, slots=True)
class Call:
    """One chat completion; `head` is its JSON without `glyph` and the closing brace."""

    head: bytes
    options: Json
    seed: int | None
    stream: bool
    include_usage: bool

    def body(self, resume: Json) -> bytes:
        """The body for one attempt; `resume` goes into `glyph` beside the client's members."""
        glyph = {**self.options, **resume}
        if self.seed is not None:
            glyph["seed"] = self.seed
        return b"%s%s}" % (self.head, json.dumps({"glyph": glyph})[1:-1].encode())


def parse_call(raw: bytes, random_seed: int) -> Call:
    """The call in a request body; RefusedError (422) if it is none.

    `random_seed` (0 … 2**63-1) is used when the client gave no seed, so that a replay draws the
    same numbers. The model's own rules (messages, limits, unsupported members) are the worker's to
    judge.
    """
    body = load_object(raw)
    options = body.pop("glyph", None)
    if options is None:
        options = {}
    if not isinstance(options, dict):
        raise invalid("glyph must be an object", "glyph")
    for name in _INTERNAL:
        if name in options:
            raise invalid(f"glyph.{name} is internal", f"glyph.{name}")
    stream = body.get("stream")
    if stream is not None and not isinstance(stream, bool):
        raise invalid("stream must be true or false", "stream")
    return Call(
        head=_head(body),
        options=options,
        seed=random_seed if body.get("seed") is None else None,
        stream=bool(stream),
        include_usage=_include_usage(body.get("stream_options")),
    )


def load_object(raw: bytes) -> Json:
    """The JSON object in a body; RefusedError (422) if it is none."""
    try:
        body = json.loads(raw, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise invalid(f"the body is not valid JSON: {str(error)[:200]}", None) from error
    if not isinstance(body, dict):
        raise invalid("the body must be a JSON object", None)
    return body


def _head(body: Json) -> bytes:
    try:
        text = json.dumps(body, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        head = text[:-1].encode()
    except (ValueError, RecursionError) as error:
        # 1e999 is read as infinity, and a lone surrogate has no UTF-8.
        raise invalid("the body holds a number or a text JSON cannot carry", None) from error
    return head + b"," if body else head


def _include_usage(options: object) -> bool:
    if options is None:
        return False
    if not isinstance(options, dict):
        raise invalid("stream_options must be an object", "stream_options")
    return options.get("include_usage") is True


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON number")


def invalid(detail: str, param: str | None) -> RefusedError:
    """The refusal (422) of a body, to be raised."""
    return RefusedError(problem("invalid_request", detail, param=param))
