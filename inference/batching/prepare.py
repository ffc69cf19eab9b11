"""From a chat request to a job for the engine: what is drawn, the prompt, what was said before.

Runs in a thread of its own, so that neither the event loop nor the engine waits for drawing.
"""

from __future__ import annotations

import hashlib
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace

from inference.batching.chat import ChatRequest, Message, Mode, RenderFacts, Resume, Usage
from inference.batching.request import FinishReason, Generation, Job, Progress
from inference.batching.text import AnswerText
from inference.config import PAGE_UNIT_PX, InferenceConfig
from inference.engine.tokenizer import ChatTokenizer, ImagePart, TextPart, Turn
from inference.engine.values import EngineFacts, Pixels, Prompt, Sampling
from inference.errors import RequestError
from inference.render import (
    Style,
    StyleError,
    distinct,
    plan_pages,
    render_pages,
    resolve_style,
    verbatim_spans,
)


@dataclass(frozen=True, slots=True)
class Prepared:
    """A request ready for the engine, or already answered by its earlier attempt."""

    job: Job
    usage: Usage
    fingerprint: str
    resumed_ids: tuple[int, ...] = ()
    """Tokens of the answer an earlier attempt brought."""
    resumed_bytes: int = 0
    """UTF-8 bytes of text the client has."""
    ended: Progress | None = None
    """The last chunk, when the ids given for resuming end the answer."""


@dataclass(frozen=True, slots=True)
class _Document:
    """A text of a user message and what becomes of it."""

    text: str
    grids: tuple[tuple[int, int], ...]
    """Rows and columns of visual tokens of each page; none when it stays text."""
    tokens: int
    """Tokens it costs as text; counted only when that matters."""
    kept: tuple[str, ...] = ()
    """Spans sent along as text."""

    @property
    def pages(self) -> int:
        """Pages it fills; 0 when it stays text."""
        return len(self.grids)


class Preparer:
    """Prepares one request at a time."""

    def __init__(
        self, config: InferenceConfig, facts: EngineFacts, tokenizer: ChatTokenizer
    ) -> None:
        self._config = config
        self._facts = facts
        self._tokenizer = tokenizer
        self.since_ns: int | None = None
        """Monotonic time at which the request in hand was taken up."""

    def prepare(self, request_id: str, chat: ChatRequest) -> Prepared:
        """Raises RequestError for what the client can change."""
        self.since_ns = time.monotonic_ns()
        try:
            return self._prepare(request_id, chat)
        finally:
            self.since_ns = None

    def _prepare(self, request_id: str, chat: ChatRequest) -> Prepared:
        characters = sum(len(text) for message in chat.messages for text in message.texts)
        if characters > (limit := self._config.limits.characters):
            detail = f"the messages have {characters} characters; the limit is {limit}"
            raise RequestError("context_length_exceeded", detail, "messages")
        profile, style = self._style(chat)
        planned = [self._plan(chat, message, style) for message in chat.messages]
        documents = [document for message in planned for document in message if document.pages]
        page_count = sum(document.pages for document in documents)
        if page_count > (limit := self._config.limits.pages):
            detail = f"the documents fill {page_count} pages; the limit is {limit}"
            raise RequestError("context_length_exceeded", detail, "messages")
        prompt = self._prompt(chat, planned)
        max_new_tokens = self._max_new_tokens(chat, len(prompt.token_ids))
        mode = _resolved_mode(chat, planned)
        fingerprint = self._fingerprint(chat, mode, profile, planned)
        pages, drawn = _draw(documents, style)
        facts = replace(
            drawn,
            mode=mode,
            profile=profile,
            visual_tokens=sum(_visual_tokens(document.grids) for document in documents),
        )
        generation = Generation(request_id, prompt, self._sampling(chat), max_new_tokens)
        job, ended = self._job(generation, pages, chat)
        usage = Usage(len(prompt.token_ids), facts)
        resume = chat.resume
        return Prepared(job, usage, fingerprint, resume.token_ids, resume.text_bytes, ended)

    def _style(self, chat: ChatRequest) -> tuple[str, Style]:
        render = self._config.render
        name = chat.glyph.profile or render.default_profile
        if name not in render.profiles:
            known = ", ".join(sorted(render.profiles))
            detail = f"there is no profile {name!r}; there are: {known}"
            raise RequestError("invalid_request", detail, "glyph.profile")
        try:
            return name, resolve_style(render.profiles[name], chat.glyph.dpi)
        except StyleError as error:
            raise RequestError("invalid_request", str(error), "glyph.dpi") from error

    def _plan(self, chat: ChatRequest, message: Message, style: Style) -> list[_Document]:
        """What is document and what is question, and which documents are drawn."""
        texts = message.texts
        documents = len(texts) if len(texts) == 1 else len(texts) - 1
        if message.role != "user" or chat.glyph.mode == "never":
            documents = 0
        return [
            self._document(chat, text, style) if number < documents else _Document(text, (), 0)
            for number, text in enumerate(texts)
        ]

    def _document(self, chat: ChatRequest, text: str, style: Style) -> _Document:
        tokens = len(self._tokenizer.encode(text))
        page_tokens = style.height_px * style.width_px // PAGE_UNIT_PX**2
        is_auto, is_cropped = chat.glyph.mode == "auto", style.crop_width or style.crop_last_page
        if is_auto and not is_cropped and tokens <= page_tokens:
            return _Document(text, (), tokens)
        sizes = plan_pages(text, style).sizes
        grids = tuple((high // PAGE_UNIT_PX, wide // PAGE_UNIT_PX) for wide, high in sizes)
        kept = verbatim_spans(text) if chat.glyph.keep_text == "auto" else ()
        cost = _visual_tokens(grids) + len(self._tokenizer.encode(_appendix(kept)))
        if is_auto and tokens <= cost:
            return _Document(text, (), tokens)
        return _Document(text, grids, tokens, kept)

    def _prompt(self, chat: ChatRequest, planned: list[list[_Document]]) -> Prompt:
        turns = []
        for message, documents in zip(chat.messages, planned, strict=True):
            parts: list[TextPart | ImagePart] = []
            for document in documents:
                parts += [ImagePart(*grid) for grid in document.grids]
                text = _appendix(document.kept) if document.grids else document.text
                if text or not document.grids:
                    parts.append(TextPart(text))
            turns.append(Turn(message.role, tuple(parts)))
        try:
            return self._tokenizer.encode_chat(turns)
        except ValueError as error:
            raise RequestError("invalid_request", str(error), "messages") from error

    def _max_new_tokens(self, chat: ChatRequest, prompt_tokens: int) -> int:
        room = self._facts.length - prompt_tokens
        wanted = (
            chat.max_tokens
            if chat.max_tokens is not None
            else min(self._config.max_new_tokens, max(1, room))
        )
        if wanted > room:
            detail = (
                f"the prompt has {prompt_tokens} tokens and {wanted} are asked for; "
                f"together they may be {self._facts.length}"
            )
            raise RequestError("context_length_exceeded", detail, "messages")
        return wanted

    def _sampling(self, chat: ChatRequest) -> Sampling:
        default = self._facts.default_sampling
        return Sampling(
            temperature=default.temperature if chat.temperature is None else chat.temperature,
            top_p=default.top_p if chat.top_p is None else chat.top_p,
            top_k=default.top_k if chat.top_k is None else chat.top_k,
            seed=chat.seed,
        )

    def _fingerprint(
        self, chat: ChatRequest, mode: Mode, profile: str, planned: list[list[_Document]]
    ) -> str:
        """Hash of all that the prompt and its answer depend on beside the request itself.

        Raises RequestError when it is not the one a resumed request was begun with.
        """
        pages = [[document.pages for document in message] for message in planned]
        style = self._config.render.profiles[profile]
        told = (self._facts.fingerprint, mode, style, chat.glyph.dpi, chat.glyph.keep_text, pages)
        fingerprint = hashlib.blake2b(repr(told).encode(), digest_size=8).hexdigest()
        if chat.resume.fingerprint not in (None, fingerprint):
            detail = f"the answer was begun by {chat.resume.fingerprint}; this is {fingerprint}"
            raise RequestError("fingerprint_mismatch", detail, "glyph.fingerprint")
        return fingerprint

    def _job(
        self, generation: Generation, pages: deque[Pixels], chat: ChatRequest
    ) -> tuple[Job, Progress | None]:
        """The job, and the last chunk if the earlier attempt had come to the end."""
        resume = chat.resume
        if max(resume.token_ids, default=0) >= self._facts.vocabulary:
            detail = f"token ids are below {self._facts.vocabulary}"
            raise RequestError("invalid_request", detail, "glyph.resume_token_ids")
        text = AnswerText(self._tokenizer.piece, chat.stop, self._facts.end_ids)
        unsent, reason = _replay(text, resume, generation.max_new_tokens)
        emitted = list(resume.token_ids)
        to_fill = len(generation.prompt.token_ids) + len(emitted)
        job = Job(generation, text, emitted, pages, to_fill, unsent)
        if reason is None:
            return job, None
        return job, Progress(len(emitted), (), unsent, text.released_bytes, reason)


def _visual_tokens(grids: Sequence[tuple[int, int]]) -> int:
    return sum(rows * columns for rows, columns in grids)


def _appendix(kept: Sequence[str]) -> str:
    """What stands behind a document's pages when spans of it are kept as text."""
    return "\n".join(("", *kept, "")) if kept else ""


def _resolved_mode(chat: ChatRequest, planned: list[list[_Document]]) -> Mode:
    """What was done: `auto` becomes one of the others when all documents fared alike."""
    if chat.glyph.mode != "auto":
        return chat.glyph.mode
    drawn = {bool(document.pages) for message in planned for document in message if document.tokens}
    if drawn == {True}:
        return "always"
    return "auto" if True in drawn else "never"


def _draw(documents: Sequence[_Document], style: Style) -> tuple[deque[Pixels], RenderFacts]:
    pages: deque[Pixels] = deque()
    laid_out = missing = 0
    characters = ""
    for document in documents:
        for page in render_pages(document.text, style):
            pages.append(page.pixels)
            laid_out += page.characters
            missing += page.missing_glyphs
            characters = distinct(characters + page.missing_characters)
    return pages, RenderFacts(
        mode="auto",
        profile="",
        pages=len(pages),
        characters=sum(len(document.text) for document in documents),
        characters_laid_out=laid_out,
        missing_glyphs=missing,
        missing_characters=characters,
        kept_spans=sum(len(document.kept) for document in documents),
        replaced_text_tokens=sum(document.tokens for document in documents),
    )


def _replay(
    text: AnswerText, resume: Resume, max_new_tokens: int
) -> tuple[str, FinishReason | None]:
    """Bring `text` to where the earlier attempt was; text not delivered, and how it ended."""
    released = ""
    for number, token_id in enumerate(resume.token_ids):
        if text.ended or number >= max_new_tokens:
            detail = f"the answer ended before token {number}"
            raise RequestError("invalid_request", detail, "glyph.resume_token_ids")
        released += text.push(token_id)
    reason: FinishReason | None = "stop" if text.ended else None
    if reason is None and len(resume.token_ids) >= max_new_tokens:
        released += text.finish()
        reason = "length"
    encoded = released.encode()
    if resume.text_bytes > len(encoded):
        detail = f"the tokens give only {len(encoded)} bytes of text"
        raise RequestError("invalid_request", detail, "glyph.resume_text_bytes")
    return encoded[resume.text_bytes :].decode("utf-8", "replace"), reason
