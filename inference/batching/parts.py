"""What a message consists of once it is planned: texts, drawn or not, and pictures."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from inference.batching.chat import ChatRequest, Mode, RenderFacts
from inference.batching.pictures import RequestPicture
from inference.engine.values import Pixels
from inference.render import Style, distinct, render_pages


@dataclass(frozen=True, slots=True)
class Document:
    """A text of a user message and what becomes of it."""

    text: str
    grids: tuple[tuple[int, int], ...] = ()
    """Rows and columns of visual tokens of its pages; none when it stays text."""
    tokens: int = 0
    """Tokens it costs as text; counted only when that matters."""
    kept: tuple[str, ...] = ()
    """Spans sent along as text."""

    @property
    def beside(self) -> str | None:
        """What of it the prompt has as text: all, or what follows its pages."""
        return (appendix(self.kept) or None) if self.grids else self.text


Part = Document | RequestPicture


def visual_tokens(grids: Iterable[tuple[int, int]]) -> int:
    """Visual tokens of pages or pictures, from rows and columns of each."""
    return sum(rows * columns for rows, columns in grids)


def appendix(kept: Sequence[str]) -> str:
    """What stands behind a document's pages when spans of it are kept as text."""
    return "\n".join(("", *kept, "")) if kept else ""


def resolved_mode(chat: ChatRequest, planned: list[list[Part]]) -> Mode:
    """What was done: `auto` becomes one of the others when all documents fared alike."""
    if chat.glyph.mode != "auto":
        return chat.glyph.mode
    documents = [part for parts in planned for part in parts if isinstance(part, Document)]
    drawn = {bool(document.grids) for document in documents if document.tokens}
    if drawn == {True}:
        return "always"
    return "auto" if True in drawn else "never"


def draw(parts: Sequence[Part], style: Style) -> tuple[deque[Pixels], RenderFacts]:
    """Pages and decoded pictures in the order of the prompt. Raises RequestError."""
    pages: deque[Pixels] = deque()
    laid_out = missing = 0
    characters = ""
    for part in parts:
        if isinstance(part, RequestPicture):
            pages.append(part.pixels())
            continue
        for page in render_pages(part.text, style):
            pages.append(page.pixels)
            laid_out += page.characters
            missing += page.missing_glyphs
            characters = distinct(characters + page.missing_characters)
    documents = [part for part in parts if isinstance(part, Document)]
    pictures = [part for part in parts if isinstance(part, RequestPicture)]
    return pages, RenderFacts(
        mode="auto",
        profile="",
        pages=len(pages) - len(pictures),
        images=len(pictures),
        visual_tokens=sum(visual_tokens(part.grids) for part in parts),
        image_tokens=sum(visual_tokens(picture.grids) for picture in pictures),
        characters=sum(len(document.text) for document in documents),
        characters_laid_out=laid_out,
        missing_glyphs=missing,
        missing_characters=characters,
        kept_spans=sum(len(document.kept) for document in documents),
        replaced_text_tokens=sum(document.tokens for document in documents),
    )
