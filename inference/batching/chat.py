"""A chat completion as the worker understands it, decoded and checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from inference.render import character_names

Mode = Literal["auto", "always", "never"]
KeepText = Literal["auto", "never"]
Role = Literal["system", "user", "assistant"]


@dataclass(frozen=True, slots=True)
class ImageUrl:
    """A picture inside a message, not looked at yet."""

    url: str = field(repr=False)
    param: str
    """Where it stands in the request, in OpenAI's notation."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message: texts and pictures in the order of its content."""

    role: Role
    parts: tuple[str | ImageUrl, ...]

    @property
    def texts(self) -> tuple[str, ...]:
        """Its texts alone."""
        return tuple(part for part in self.parts if isinstance(part, str))

    @property
    def images(self) -> tuple[ImageUrl, ...]:
        """Its pictures alone."""
        return tuple(part for part in self.parts if isinstance(part, ImageUrl))


@dataclass(frozen=True, slots=True)
class GlyphOptions:
    """How the documents of a request are drawn."""

    mode: Mode = "auto"
    profile: str | None = None
    dpi: int | None = None
    keep_text: KeepText = "never"
    """`auto` sends spans along as text that are hard to read off a page."""


@dataclass(frozen=True, slots=True)
class Resume:
    """What an earlier attempt at the same answer has brought already."""

    token_ids: tuple[int, ...] = ()
    text_bytes: int = 0
    """UTF-8 bytes of text the client has."""
    fingerprint: str | None = None
    """What computed it; another model must not go on with it."""


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """A request; None means the default of the model or of the configuration."""

    model: str | None
    messages: tuple[Message, ...]
    seed: int
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    repetition_penalty: float | None = None
    frequency_penalty: float = 0.0
    presence_penalty: float = 0.0
    logit_bias: tuple[tuple[int, float], ...] = ()
    top_logprobs: int | None = None
    """Likeliest tokens to tell with each token; None tells no probabilities at all."""
    stop: tuple[str, ...] = ()
    stop_token_ids: tuple[int, ...] = ()
    stream: bool = False
    include_usage: bool = False
    glyph: GlyphOptions = GlyphOptions()
    resume: Resume = Resume()


@dataclass(frozen=True, slots=True)
class RenderFacts:
    """What drawing did for a request; goes to the client."""

    mode: Mode
    """What was done: `auto` only if some documents were drawn and some not."""
    profile: str
    pages: int = 0
    images: int = 0
    """Pictures the client sent."""
    visual_tokens: int = 0
    """Of pages and pictures together."""
    image_tokens: int = 0
    """Those of the pictures alone."""
    characters: int = 0
    """Characters of the documents drawn."""
    characters_laid_out: int = 0
    missing_glyphs: int = 0
    missing_characters: str = ""
    """The characters behind them, each once; the first 64."""
    kept_spans: int = 0
    """Spans sent along as text."""
    replaced_text_tokens: int = 0
    """Tokens the documents drawn would have cost as text."""

    @property
    def compression(self) -> float | None:
        """Text tokens replaced per visual token of the pages; None without pages."""
        page_tokens = self.visual_tokens - self.image_tokens
        return self.replaced_text_tokens / page_tokens if page_tokens else None

    def members(self) -> Mapping[str, object]:
        """The facts under their names on the wire."""
        return {
            "mode": self.mode,
            "profile": self.profile,
            "pages": self.pages,
            "images": self.images,
            "visual_tokens": self.visual_tokens,
            "characters": self.characters,
            "characters_laid_out": self.characters_laid_out,
            "missing_glyphs": self.missing_glyphs,
            "missing_characters": character_names(self.missing_characters),
            "kept_spans": self.kept_spans,
            "compression": self.compression,
        }


@dataclass(frozen=True, slots=True)
class Usage:
    """What a prompt costs."""

    prompt_tokens: int
    facts: RenderFacts

    def members(self, completion_tokens: int) -> Mapping[str, object]:
        """OpenAI's `usage` for an answer of so many tokens."""
        facts = self.facts
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": completion_tokens,
            "total_tokens": self.prompt_tokens + completion_tokens,
            "prompt_tokens_details": {
                "text_tokens": self.prompt_tokens - facts.visual_tokens,
                "visual_tokens": facts.visual_tokens,
                "image_tokens": facts.image_tokens,
                "pages": facts.pages,
                "images": facts.images,
                "characters": facts.characters,
                "characters_laid_out": facts.characters_laid_out,
                "missing_glyphs": facts.missing_glyphs,
                "replaced_text_tokens": facts.replaced_text_tokens,
                "compression": facts.compression,
            },
        }
