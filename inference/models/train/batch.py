"""Examples to tensors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from inference.engine.positions import rope_positions
from inference.engine.values import ImagePlace
from inference.models.train.grid import (
    CELLS_PER_TOKEN,
    TOKEN_PX,
    TOKENS_HIGH,
    TOKENS_PER_PAGE,
    TOKENS_WIDE,
    draw,
    page_codes,
)
from inference.models.train.tasks import NOWHERE, Example
from inference.models.train.vocabulary import Vocabulary

_PAGE_FRAME = 3
"""Page mark, begin and end of image: tokens that each page has beside its visual tokens."""
_TURN_FRAME = 6
"""[gMASK] <sop> <|user|> newline, and <|assistant|> newline."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Examples as (batch, length) tensors; targets are aligned with what predicts them."""

    ink: torch.Tensor
    """All pages of all examples, (pages, height, width) uint8."""
    kept: torch.Tensor
    """Bool (pages, tokens): the visual tokens that are in the batch."""
    ids: torch.Tensor
    visual: torch.Tensor
    """Bool: where the kept visual tokens go, in order."""
    positions: torch.Tensor
    """(3, batch, length)."""
    targets: torch.Tensor
    """Next token where an answer is to be given, else -100."""
    places: torch.Tensor
    """Index of the token to look at for predicting the target, else -1."""
    matches: torch.Tensor
    """Index of the token that shows what a character of the question asks for, else -1."""

    def to(self, device: torch.device) -> Batch:
        """The same on another device."""
        return Batch(*(getattr(self, name).to(device) for name in Batch.__slots__))


@dataclass(frozen=True, slots=True)
class Cells:
    """What a page shows, per visual token."""

    codes: torch.Tensor
    """(pages, tokens, 4) indices into the alphabet."""
    rest: torch.Tensor
    """(pages, tokens): characters from here to the end of the line, at most 5."""
    below: torch.Tensor
    """(pages, tokens): 1 when a later line has characters."""

    def to(self, device: torch.device) -> Cells:
        """The same on another device."""
        return Cells(self.codes.to(device), self.rest.to(device), self.below.to(device))


def make_batch(examples: Sequence[Example], vocabulary: Vocabulary, shorten: bool = False) -> Batch:
    """Tensors of some examples, padded at the right.

    With `shorten` the visual tokens of the empty rows below a text are left out, all but one row;
    the others stay at their positions. That saves most of the time on pages of few lines.
    """
    rows = [_row(example, vocabulary, shorten) for example in examples]
    length = max(row.shape[1] for row in rows)
    padding = np.array([vocabulary.id("<|pad|>"), -100, NOWHERE, NOWHERE, 0, 0, 0])
    table = np.empty((len(rows), len(padding), length), np.int64)
    table[:] = padding[:, None]
    for number, row in enumerate(rows):
        table[number, :, : row.shape[1]] = row
    pages = [page for example in examples for page in example.pages]
    ink = np.zeros((len(pages), TOKENS_HIGH * TOKEN_PX, TOKENS_WIDE * TOKEN_PX), np.uint8)
    for number, page in enumerate(pages):
        ink[number] = draw(page_codes(page))
    kept = [rows for example in examples for rows in _kept_rows(example, shorten)]
    ids, targets, places, matches, *positions = torch.from_numpy(table).unbind(1)
    return Batch(
        ink=torch.from_numpy(ink),
        kept=torch.from_numpy(np.array(kept, bool).reshape(-1, TOKENS_HIGH)).repeat_interleave(
            TOKENS_WIDE, dim=1
        ),
        ids=ids,
        visual=ids == vocabulary.image,
        positions=torch.stack(positions),
        targets=targets,
        places=places,
        matches=matches,
    )


def _row(example: Example, vocabulary: Vocabulary, shorten: bool) -> npt.NDArray[np.int64]:
    """Ids, targets, places, matches and three positions (7, length) of one example."""
    prompt, question = vocabulary.prompt(len(example.pages), example.question, TOKENS_PER_PAGE)
    end, total = len(prompt), len(prompt) + len(example.answer)
    images = _image_places(prompt, len(example.pages), vocabulary)
    keep = np.ones(total, bool)
    for image, rows in zip(images, _kept_rows(example, shorten), strict=True):
        keep[image.start : image.start + TOKENS_PER_PAGE] = rows.repeat(TOKENS_WIDE)
    if example.window is not None:
        keep[end : end + example.window.begin] = False
        keep[end + example.window.end :] = False
    moved = np.cumsum(keep) - 1
    starts = [image.start for image in images]
    table = np.full((7, total), NOWHERE, np.int64)
    table[0] = prompt + example.answer
    table[1] = -100
    table[1, end - 1 : total - 1] = example.answer
    table[2, end - 1 : total - 1] = _indices(example.places, starts, moved)
    behind = question + len(example.question_places)
    table[3, question:behind] = _indices(example.question_places, starts, moved)
    table[4:] = rope_positions(total, images)[0]
    return table[:, keep]


def make_cells(pages: Sequence[Sequence[str]]) -> Cells:
    """Labels of the visual tokens of some pages, the empty last row included."""
    codes = np.zeros((len(pages), TOKENS_HIGH, TOKENS_WIDE * CELLS_PER_TOKEN), np.int64)
    rest = np.zeros((len(pages), TOKENS_HIGH, TOKENS_WIDE), np.int64)
    below = np.zeros((len(pages), TOKENS_HIGH, TOKENS_WIDE), np.int64)
    starts = np.arange(TOKENS_WIDE) * CELLS_PER_TOKEN
    for number, page in enumerate(pages):
        codes[number, :-1] = page_codes(page)
        for row, line in enumerate(page):
            rest[number, row] = np.clip(len(line) - starts, 0, CELLS_PER_TOKEN + 1)
        last = max((row for row, line in enumerate(page) if line), default=0)
        below[number, :last] = 1
    shape = (len(pages), TOKENS_PER_PAGE)
    return Cells(
        torch.from_numpy(codes).view(*shape, CELLS_PER_TOKEN),
        torch.from_numpy(rest).view(shape),
        torch.from_numpy(below).view(shape),
    )


def example_length(example: Example, shorten: bool) -> int:
    """Tokens of an example."""
    rows = sum(int(kept.sum()) for kept in _kept_rows(example, shorten))
    pages = rows * TOKENS_WIDE + len(example.pages) * _PAGE_FRAME
    window = example.window
    answer = len(example.answer) if window is None else window.end - window.begin
    return pages + len(example.question) + _TURN_FRAME + answer


def _kept_rows(example: Example, shorten: bool) -> list[npt.NDArray[np.bool_]]:
    """Which rows of visual tokens of each page are in the batch."""
    if example.window is not None:
        return [np.isin(np.arange(TOKENS_HIGH), example.window.rows)]
    return [
        np.arange(TOKENS_HIGH) <= (len(page) if shorten else TOKENS_HIGH) for page in example.pages
    ]


def _image_places(prompt: Sequence[int], pages: int, vocabulary: Vocabulary) -> list[ImagePlace]:
    found: list[ImagePlace] = []
    start = 0
    for _ in range(pages):
        start = prompt.index(vocabulary.image, start)
        found.append(ImagePlace(start, TOKENS_HIGH, TOKENS_WIDE))
        start += TOKENS_PER_PAGE
    return found


def _indices(
    places: Sequence[int], starts: Sequence[int], moved: npt.NDArray[np.int64]
) -> list[int]:
    """Visual tokens counted over all pages to indices in what is kept of the example."""
    return [
        NOWHERE
        if place == NOWHERE
        else int(moved[starts[place // TOKENS_PER_PAGE] + place % TOKENS_PER_PAGE])
        for place in places
    ]
