"""A request on its way through the worker, and the news of it."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Literal

from inference.batching.text import AnswerText
from inference.engine.values import Logprobs, Pixels, Prompt, Sampling
from inference.errors import RequestError

FinishReason = Literal["stop", "length"]


@dataclass(frozen=True, slots=True)
class Generation:
    """All the engine needs to compute one answer."""

    id: str
    prompt: Prompt
    sampling: Sampling
    max_new_tokens: int
    """Length of the whole answer, tokens of an earlier attempt included."""


@dataclass(slots=True, eq=False)
class Job:
    """A generation in the engine; belongs to the engine thread alone."""

    generation: Generation
    text: AnswerText
    emitted: list[int]
    """Token ids of the answer so far, those of an earlier attempt first."""
    pages: deque[Pixels]
    """Pages the vision tower has not seen yet."""
    to_fill: int
    """Tokens to compute before the first new one: the prompt and what was emitted earlier."""
    unsent: str = ""
    """Text of an earlier attempt that never reached the client; goes out with the next token."""
    slot: int = -1
    images_seen: int = 0
    filled: int = 0
    """How many of `to_fill` are computed."""

    @property
    def id(self) -> str:
        """Id of the request."""
        return self.generation.id

    @property
    def decoding(self) -> bool:
        """The prompt is computed; one token comes with every step."""
        return self.slot >= 0 and self.filled >= self.to_fill


@dataclass(frozen=True, slots=True)
class Admitted:
    """The request has a slot; its prompt is about to be computed."""


@dataclass(frozen=True, slots=True)
class Progress:
    """What one engine step added to the answer."""

    index: int
    """Position of the first of `token_ids` in the whole answer."""
    token_ids: tuple[int, ...]
    text: str
    """Text released by this step; empty while something is held back."""
    text_bytes: int
    """UTF-8 bytes of all text released so far."""
    finish_reason: FinishReason | None = None
    logprobs: tuple[Logprobs, ...] = ()
    """One for each of `token_ids`, if they are asked for."""


@dataclass(frozen=True, slots=True)
class Failed:
    """The request ended without an answer."""

    error: RequestError


Event = Admitted | Progress | Failed
