"""From a chat request to a job for the engine: what is drawn, the prompt, what was said before.

Runs in a thread of its own, so that neither the event loop nor the engine waits for drawing.
"""

from __future__ import annotations

import hashlib
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from inference.batching.chat import (
    ChatRequest,
    ImageUrl,
    Message,
    Mode,
    Resume,
    Usage,
)
from inference.batching.parts import Document, Part, appendix, draw, resolved_mode, visual_tokens
from inference.batching.pictures import RequestPicture, open_pictures
from inference.batching.request import FinishReason, Generation, Job, Progress
from inference.batching.text import AnswerText
from inference.batching.wishes import check_ids, choose_sampling
from inference.config import PAGE_UNIT_PX, InferenceConfig
from inference.engine.tokenizer import ChatTokenizer, ImagePart, TextPart, Turn
from inference.engine.values import EngineFacts, Pixels, Prompt
from inference.errors import RequestError
from inference.render import Style, StyleError, plan_pages, resolve_style, verbatim_spans

Spell = Callable[[int], tuple[str, bytes | None]]
"""Text and bytes of a token; special tokens have no bytes."""


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
    spell: Spell | None = None
    """How tokens are shown, if their probabilities are asked for."""


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
        pictures = open_pictures(chat, self._config.limits, self._facts.image_area)
        planned = [self._plan(chat, message, style, pictures) for message in chat.messages]
        parts = [part for message in planned for part in message if part.grids]
        page_count = sum(len(part.grids) for part in parts)
        if page_count > (limit := self._config.limits.pages):
            detail = f"documents and images fill {page_count} pages; the limit is {limit}"
            raise RequestError("context_length_exceeded", detail, "messages")
        sampling = choose_sampling(chat, self._facts)
        prompt = self._prompt(chat, planned)
        max_new_tokens = self._max_new_tokens(chat, len(prompt.token_ids))
        mode = resolved_mode(chat, planned)
        fingerprint = self._fingerprint(chat, mode, profile, planned)
        pages, drawn = draw(parts, style)
        facts = replace(drawn, mode=mode, profile=profile)
        generation = Generation(request_id, prompt, sampling, max_new_tokens)
        job, ended = self._job(generation, pages, chat)
        usage = Usage(len(prompt.token_ids), facts)
        resume = chat.resume
        return Prepared(
            job,
            usage,
            fingerprint,
            resume.token_ids,
            resume.text_bytes,
            ended,
            None if chat.top_logprobs is None else self._tokenizer.spell,
        )

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

    def _plan(
        self,
        chat: ChatRequest,
        message: Message,
        style: Style,
        pictures: Mapping[ImageUrl, RequestPicture],
    ) -> list[Part]:
        """What is document and what is question, and which documents are drawn."""
        texts = message.texts
        documents = len(texts) if len(message.parts) == 1 else len(texts) - 1
        if message.role != "user" or chat.glyph.mode == "never":
            documents = 0
        planned: list[Part] = []
        for part in message.parts:
            if isinstance(part, ImageUrl):
                planned.append(pictures[part])
                continue
            planned.append(self._document(chat, part, style) if documents > 0 else Document(part))
            documents -= 1
        return planned

    def _document(self, chat: ChatRequest, text: str, style: Style) -> Document:
        tokens = len(self._tokenizer.encode(text))
        page_tokens = style.height_px * style.width_px // PAGE_UNIT_PX**2
        is_auto, is_cropped = chat.glyph.mode == "auto", style.crop_width or style.crop_last_page
        if is_auto and not is_cropped and tokens <= page_tokens:
            return Document(text, (), tokens)
        sizes = plan_pages(text, style).sizes
        grids = tuple((high // PAGE_UNIT_PX, wide // PAGE_UNIT_PX) for wide, high in sizes)
        kept = verbatim_spans(text) if chat.glyph.keep_text == "auto" else ()
        cost = visual_tokens(grids) + len(self._tokenizer.encode(appendix(kept)))
        if is_auto and tokens <= cost:
            return Document(text, (), tokens)
        return Document(text, grids, tokens, kept)

    def _prompt(self, chat: ChatRequest, planned: list[list[Part]]) -> Prompt:
        turns = []
        for message, planned_parts in zip(chat.messages, planned, strict=True):
            parts: list[TextPart | ImagePart] = []
            for part in planned_parts:
                parts += [ImagePart(*grid) for grid in part.grids]
                text = part.beside if isinstance(part, Document) else None
                if text is not None:
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

    def _fingerprint(
        self, chat: ChatRequest, mode: Mode, profile: str, planned: list[list[Part]]
    ) -> str:
        """Hash of all that the prompt and its answer depend on beside the request itself.

        Raises RequestError when it is not the one a resumed request was begun with.
        """
        pages = [[part.grids for part in message] for message in planned]
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
        check_ids(resume.token_ids, "glyph.resume_token_ids", self._facts)
        end_ids = self._facts.end_ids.union(chat.stop_token_ids)
        text = AnswerText(self._tokenizer.piece, chat.stop, end_ids)
        unsent, reason = _replay(text, resume, generation.max_new_tokens)
        emitted = list(resume.token_ids)
        to_fill = len(generation.prompt.token_ids) + len(emitted)
        job = Job(generation, text, emitted, pages, to_fill, unsent)
        if reason is None:
            return job, None
        return job, Progress(len(emitted), (), unsent, text.released_bytes, reason)


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
