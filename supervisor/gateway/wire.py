"""What a worker's internal stream says (docs/wire.md, section 4), checked and typed."""

import json
from dataclasses import dataclass

Json = dict[str, object]

_JOURNAL_MEMBERS = ("epoch", "index", "token_ids", "text_bytes", "fingerprint")


class MalformedEventError(ValueError):
    """An event of the internal stream that is not what the wire promises."""


@dataclass(frozen=True, slots=True)
class Done:
    """The event `[DONE]`."""


@dataclass(frozen=True, slots=True)
class WorkerError:
    """The event of a failure after the stream began."""

    message: str
    code: str


@dataclass(frozen=True, slots=True)
class Chunk:
    """One chunk of the internal stream.

    `body` is the OpenAI chunk without its internal members and without usage; `facts` are the
    render facts.
    """

    epoch: str
    index: int
    token_ids: tuple[int, ...]
    text_bytes: int
    fingerprint: str
    text: str
    finish_reason: str | None
    usage: Json | None
    facts: Json
    body: Json
    logprobs: tuple[Json, ...] = ()
    """One entry for each token, if the client asked for them; they are in `body` too."""


def parse_event(data: bytes) -> Chunk | WorkerError | Done:
    """The meaning of one event; MalformedEventError if it has none."""
    if data == b"[DONE]":
        return Done()
    try:
        body = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise MalformedEventError("event is no JSON") from error
    if not isinstance(body, dict):
        raise MalformedEventError("event is no object")
    failure = body.get("error")
    if isinstance(failure, dict):
        return WorkerError(
            str(failure.get("message", ""))[:2000], str(failure.get("code", ""))[:64]
        )
    return _chunk(body)


def _chunk(body: Json) -> Chunk:
    glyph = body.pop("glyph", None)
    usage = body.pop("usage", None)
    if not isinstance(glyph, dict):
        raise MalformedEventError("chunk without glyph")
    choice = _choice(body)
    delta, finish_reason = _delta(choice)
    text = delta.get("content") or ""
    ids = glyph.get("token_ids")
    if not isinstance(text, str):
        raise MalformedEventError("content is no text")
    if not isinstance(ids, list) or not all(type(token) is int for token in ids):
        raise MalformedEventError("token_ids are no integers")
    return Chunk(
        epoch=_string(glyph, "epoch"),
        index=_count(glyph, "index"),
        token_ids=tuple(ids),
        text_bytes=_count(glyph, "text_bytes"),
        fingerprint=_string(glyph, "fingerprint"),
        text=text,
        finish_reason=finish_reason,
        usage=usage if isinstance(usage, dict) else None,
        facts={name: value for name, value in glyph.items() if name not in _JOURNAL_MEMBERS},
        body=body,
        logprobs=_logprobs(choice, len(ids)),
    )


def _choice(body: Json) -> Json:
    choices = body.get("choices")
    if not isinstance(choices, list) or len(choices) != 1 or not isinstance(choices[0], dict):
        raise MalformedEventError("chunk without its one choice")
    return choices[0]


def _delta(choice: Json) -> tuple[Json, str | None]:
    delta = choice.get("delta")
    finish_reason = choice.get("finish_reason")
    if not isinstance(delta, dict):
        raise MalformedEventError("choice without delta")
    if finish_reason is not None and not isinstance(finish_reason, str):
        raise MalformedEventError("finish_reason is no text")
    return delta, finish_reason


def _logprobs(choice: Json, tokens: int) -> tuple[Json, ...]:
    told = choice.get("logprobs")
    if told is None:
        return ()
    content = told.get("content") if isinstance(told, dict) else None
    if not isinstance(content, list) or not all(isinstance(entry, dict) for entry in content):
        raise MalformedEventError("logprobs are no list of objects")
    if len(content) != tokens:
        raise MalformedEventError("logprobs do not match the tokens")
    return tuple(content)


def _string(glyph: Json, name: str) -> str:
    value = glyph.get(name)
    if not isinstance(value, str):
        raise MalformedEventError(f"glyph.{name} is no text")
    return value


def _count(glyph: Json, name: str) -> int:
    value = glyph.get(name)
    if type(value) is not int or value < 0:
        raise MalformedEventError(f"glyph.{name} is no count")
    return value


def encode(value: object) -> bytes:
    """Compact UTF-8 JSON; a lone surrogate becomes a question mark rather than an error."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
