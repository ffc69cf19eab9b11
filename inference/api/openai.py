"""Answers in OpenAI's shapes: completions, chunks, models."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from inference.batching.prepare import Prepared, Spell
from inference.batching.request import FinishReason
from inference.engine.values import Logprobs


def new_id() -> str:
    """A name for an answer."""
    return f"chatcmpl-{uuid.uuid4().hex}"


@dataclass(frozen=True, slots=True)
class Answer:
    """What all chunks of one answer have in common."""

    id: str
    model: str
    prepared: Prepared
    created: int = field(default_factory=lambda: int(time.time()))

    def chunk(
        self,
        delta: Mapping[str, object],
        finish_reason: FinishReason | None = None,
        logprobs: Mapping[str, object] | None = None,
        **members: object,
    ) -> dict[str, object]:
        """A `chat.completion.chunk` with one choice and further `members`."""
        choice = {
            "index": 0,
            "delta": delta,
            "logprobs": logprobs,
            "finish_reason": finish_reason,
        }
        return {**self._head("chat.completion.chunk"), "choices": [choice], **members}

    def usage_chunk(self, completion_tokens: int) -> dict[str, object]:
        """The chunk without choices that `stream_options.include_usage` asks for."""
        usage = self.prepared.usage.members(completion_tokens)
        return {**self._head("chat.completion.chunk"), "choices": [], "usage": usage}

    def logprobs(self, ids: Sequence[int], told: Sequence[Logprobs]) -> dict[str, object] | None:
        """The `logprobs` of a choice for these tokens; None without any, or if not asked for."""
        spell = self.prepared.spell
        if spell is None or not ids:
            return None
        content = [
            {
                **_logprob(token_id, one.token, spell),
                "top_logprobs": [_logprob(other, value, spell) for other, value in one.likeliest],
            }
            for token_id, one in zip(ids, told, strict=True)
        ]
        return {"content": content, "refusal": None}

    def completion(
        self,
        text: str,
        finish_reason: FinishReason,
        completion_tokens: int,
        logprobs: Mapping[str, object] | None,
    ) -> dict[str, object]:
        """A whole `chat.completion`."""
        choice = {
            "index": 0,
            "message": {"role": "assistant", "content": text, "refusal": None},
            "logprobs": logprobs,
            "finish_reason": finish_reason,
        }
        return {
            **self._head("chat.completion"),
            "choices": [choice],
            "usage": self.prepared.usage.members(completion_tokens),
            "glyph": self.prepared.usage.facts.members(),
        }

    def _head(self, kind: str) -> dict[str, object]:
        return {
            "id": self.id,
            "object": kind,
            "created": self.created,
            "model": self.model,
            "system_fingerprint": self.prepared.fingerprint,
        }


def _logprob(token_id: int, value: float, spell: Spell) -> dict[str, object]:
    text, raw = spell(token_id)
    return {"token": text, "logprob": value, "bytes": None if raw is None else list(raw)}


def event(payload: Mapping[str, object]) -> bytes:
    """One server-sent event."""
    text = json.dumps(payload, ensure_ascii=False, separators=(",", ":"))
    return b"data: " + text.encode() + b"\n\n"


DONE = b"data: [DONE]\n\n"
