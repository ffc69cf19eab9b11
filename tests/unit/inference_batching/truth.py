"""What `generate()` answers, greedy and seeded, with how near each token was to another one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from transformers import LogitsProcessor

from inference.engine.sampling import draw, uniform
from inference.engine.values import Pixels, Prompt, Sampling
from tests.unit.inference_engine import oracle

CLOSE = oracle.CLOSE
GREEDY = Sampling()
LONGEST = 24
"""Tokens of a true answer."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request by its ingredients."""

    text: str
    sizes: tuple[tuple[int, int], ...] = ()
    """Height and width of its pages in pixels."""
    sampling: Sampling = GREEDY

    def pages(self) -> list[Pixels]:
        return oracle.pages(*self.sizes, seed=len(self.text))

    def prompt(self) -> Prompt:
        return oracle.prompt(self.text, self.pages())


@dataclass(frozen=True, slots=True)
class Truth:
    """The answer, and by how much each of its tokens won."""

    token_ids: tuple[int, ...]
    margins: tuple[float, ...]


class _Drawing(LogitsProcessor):  # type: ignore[misc]  # transformers carries no types
    """Makes generate()'s greedy search take the token that the sampler draws from its logits."""

    def __init__(self, sampling: Sampling, prompt_tokens: int) -> None:
        self._sampling = sampling
        self._prompt_tokens = prompt_tokens
        self.margins: list[float] = []

    def __call__(self, ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        if self._sampling.temperature == 0:
            best = scores[0].topk(2).values
            self.margins.append(float(best[0] - best[1]))
            return scores
        index = ids.shape[1] - self._prompt_tokens
        logits = scores[0].numpy()
        chosen = draw(logits, self._sampling, index)
        self.margins.append(_room(logits, self._sampling, index))
        return torch.full_like(scores, -torch.inf).index_fill(1, torch.tensor([chosen]), 0.0)


def _room(logits: np.ndarray, sampling: Sampling, index: int) -> float:
    """Distance of the random number from the next border between two tokens.

    Borders that top_k or top_p move are not seen: then a tie counts as a mistake.
    """
    if sampling.top_k or sampling.top_p < 1:
        return 1.0
    weights = np.exp((logits.astype(np.float64) - logits.max()) / sampling.temperature)
    borders = np.cumsum(weights) / weights.sum()
    return float(np.abs(borders - uniform(sampling.seed, index)).min())


@cache
def truth(asked: Asked, kind: str) -> Truth:
    """The first LONGEST tokens of generate()'s answer, whatever they are."""
    prompt = asked.prompt()
    drawing = _Drawing(asked.sampling, len(prompt.token_ids))
    token_ids = oracle.oracle(prompt, asked.pages(), LONGEST, kind, [drawing])
    return Truth(tuple(token_ids), tuple(drawing.margins))


def pool() -> Sequence[Asked]:
    """Requests of all kinds: text and pages, short and long, greedy and seeded."""
    samplings = (
        Sampling(),
        Sampling(),
        Sampling(temperature=1.0, seed=7),
        Sampling(temperature=0.8, top_p=0.95, top_k=40, seed=11),
    )
    pictures: tuple[tuple[tuple[int, int], ...], ...] = (
        (),
        ((56, 84),),
        ((28, 28), (112, 56)),
        ((140, 168),),
    )
    return [
        Asked(f"question {row}{column} " * (1 + 3 * ((row + column) % 4)), sizes, sampling)
        for row, sizes in enumerate(pictures)
        for column, sampling in enumerate(samplings)
    ]
