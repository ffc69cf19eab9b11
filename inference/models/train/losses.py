"""What is minimised: cell labels for the vision tower, tokens and pointers for the whole."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from inference.models.train.batch import Batch, Cells
from inference.models.train.grid import (
    ALPHABET,
    CELLS_PER_TOKEN,
    TOKENS_HIGH,
    TOKENS_WIDE,
)
from inference.models.train.network import HEADS, HIDDEN, KV_HEADS, Network, Reading

READING_HEAD, MATCHING_HEAD = 0, 2
"""Attention heads, of different key heads, that are told where to look."""
_POINTER_WEIGHT = 0.6
_REST_CLASSES = CELLS_PER_TOKEN + 2


class CellHead(nn.Module):
    """Names what a visual token shows and where it stands; thrown away after training."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes = [len(ALPHABET)] * CELLS_PER_TOKEN
        self.sizes += [_REST_CLASSES, 2, TOKENS_HIGH, TOKENS_WIDE]
        self.linear = nn.Linear(HIDDEN, sum(self.sizes))

    def forward(self, seen: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Scores of the classes of each label for visual tokens (pages, tokens, HIDDEN)."""
        return tuple(self.linear(seen).split(self.sizes, dim=-1))


@dataclass(frozen=True, slots=True)
class CellScore:
    """How well the cells of some pages were named."""

    loss: torch.Tensor
    characters: float
    """Share of characters (not spaces) named right."""
    rest: float
    """Share of tokens for which the end of the line was found."""
    below: float
    place: float
    """Share of tokens whose row and column were named right."""


def cell_score(scores: tuple[torch.Tensor, ...], cells: Cells) -> CellScore:
    """Compare the head's scores with the labels."""
    rows = torch.arange(TOKENS_HIGH, device=cells.rest.device).repeat_interleave(TOKENS_WIDE)
    columns = torch.arange(TOKENS_WIDE, device=cells.rest.device).repeat(TOKENS_HIGH)
    labels = [*cells.codes.unbind(-1), cells.rest, cells.below]
    labels += [rows.expand_as(cells.rest), columns.expand_as(cells.rest)]
    losses = [
        functional.cross_entropy(score.flatten(0, 1), label.flatten())
        for score, label in zip(scores, labels, strict=True)
    ]
    best = [score.argmax(-1) == label for score, label in zip(scores, labels, strict=True)]
    named = torch.stack(best[:CELLS_PER_TOKEN], -1)
    inked = cells.codes > 0
    rest, below, row, column = best[CELLS_PER_TOKEN:]
    return CellScore(
        loss=torch.stack(losses).sum(),
        characters=float(named[inked].float().mean()),
        rest=float(rest.float().mean()),
        below=float(below.float().mean()),
        place=float((row & column).float().mean()),
    )


@dataclass(frozen=True, slots=True)
class ReadScore:
    """How well a batch of answers was predicted under teacher forcing."""

    loss: torch.Tensor
    tokens: float
    """Share of answer tokens predicted right."""
    pointing: float
    """Share of answer tokens for which the reading head looked at the right place."""
    matching: float
    """Share of asked-for characters that were found; 1 when none was asked for."""


def read_score(network: Network, batch: Batch, seen: torch.Tensor) -> ReadScore:
    """Loss of a batch whose kept visual tokens (count, HIDDEN) are `seen`."""
    embedded = network.embed(batch.ids)
    if seen.numel():
        embedded = embedded.masked_scatter(batch.visual[..., None], seen.to(embedded.dtype))
    reading = network.read(embedded, batch.positions)
    wanted = batch.targets >= 0
    logits = network.model.lm_head(reading.hidden[wanted])
    labels = batch.targets[wanted]
    loss = functional.cross_entropy(logits.float(), labels)
    point_loss, pointing = _pointing(reading, READING_HEAD, batch.places)
    match_loss, matching = _pointing(reading, MATCHING_HEAD, batch.matches)
    return ReadScore(
        loss=loss + _POINTER_WEIGHT * (point_loss + match_loss),
        tokens=float((logits.argmax(-1) == labels).float().mean()),
        pointing=pointing,
        matching=matching,
    )


def _pointing(reading: Reading, head: int, places: torch.Tensor) -> tuple[torch.Tensor, float]:
    """Cross entropy between the attention of one head and the places to look at."""
    rows, columns = (places >= 0).nonzero(as_tuple=True)
    if not len(rows):
        return reading.hidden.new_zeros(()), 1.0
    queries = reading.queries[rows, head, columns]
    keys = reading.keys[:, head * KV_HEADS // HEADS]
    scale = queries.shape[-1] ** -0.5
    # One product per example, as the keys differ; then only the rows wanted are kept.
    scores = torch.cat(
        [
            queries[rows == row] @ keys[row].transpose(0, 1) * scale
            for row in sorted(set(rows.tolist()))
        ]
    )
    later = torch.arange(scores.shape[1], device=scores.device) > columns[:, None]
    scores = scores.masked_fill(later, float("-inf")).float()
    wanted = places[rows, columns]
    return functional.cross_entropy(scores, wanted), float(
        (scores.argmax(-1) == wanted).float().mean()
    )
