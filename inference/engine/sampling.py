"""Counter-based sampling: the random number of token i depends on (seed, i) and nothing else.

A resumed or re-batched request therefore draws the same numbers. The distribution is walked in
the order of token ids, not of probability: rounding differences between two batch shapes may swap
neighbours in a sorted order, but move a sum in id order only by about 1e-7.

Logits go through bias, penalties, temperature, top_k, top_p and min_p, in the order of
transformers' `generate()`.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from inference.engine.values import Logprobs, Sampling

_WORD = 2**64
_LEAST = -9999.0
"""What OpenAI's interface says for "as good as impossible"; JSON has no infinity."""
_COLDEST = 1e-100
_FIRST = 1024
"""So many of the likeliest nearly always suffice for top_p; sorting all costs ten times more."""
Floats = npt.NDArray[np.float64]
Logits = npt.NDArray[np.float32]


def uniform(seed: int, index: int) -> float:
    """A number in [0, 1) with 53 random bits, a pure function of its arguments (BLAKE2b)."""
    digest = hashlib.blake2b(struct.pack("<QQ", seed % _WORD, index), digest_size=8).digest()
    return float(int.from_bytes(digest, "little") >> 11) * 2.0**-53


class Shaper:
    """Logit bias and penalties of one answer, a function of the ids in prompt and answer alone."""

    def __init__(
        self, sampling: Sampling, prompt: Sequence[int], emitted: Sequence[int], vocabulary: int
    ) -> None:
        """Count what is there; ids must be below `vocabulary`."""
        self._sampling = sampling
        self._bias_ids = np.array([number for number, _ in sampling.logit_bias], dtype=np.int64)
        self._bias = np.array([value for _, value in sampling.logit_bias], dtype=np.float32)
        answer = np.array(emitted, dtype=np.int64)
        self._counts = np.bincount(answer, minlength=vocabulary).astype(np.float32)
        self._seen = self._counts > 0
        self._seen[np.array(prompt, dtype=np.int64)] = True

    def note(self, token_id: int) -> None:
        """The answer has grown by a token."""
        self._counts[token_id] += 1
        self._seen[token_id] = True

    def shape(self, logits: Logits) -> Logits:
        """Logits (vocabulary,) from which the next token is to be chosen; a copy.

        The repetition penalty is that of Keskar et al. 2019 (CTRL), over prompt and answer; the
        other two are OpenAI's, over the answer.
        """
        told = self._sampling
        shaped = logits.copy()
        shaped[self._bias_ids] += self._bias
        if told.repetition_penalty != 1.0:
            factor = np.float32(told.repetition_penalty)
            old = shaped[self._seen]
            shaped[self._seen] = np.where(old < 0, old * factor, old / factor)
        if told.frequency_penalty or told.presence_penalty:
            frequency, presence = (
                np.float32(told.frequency_penalty),
                np.float32(told.presence_penalty),
            )
            shaped -= frequency * self._counts + presence * (self._counts > 0)
        return shaped


def choose(logits: Logits, sampling: Sampling, index: int) -> int:
    """Token number `index` of an answer from logits (vocabulary,), drawn or the likeliest."""
    return draw(logits, sampling, index) if sampling.temperature > 0 else int(logits.argmax())


def measure(logits: Logits, token_id: int, count: int) -> Logprobs:
    """Log probabilities of a token and of the `count` likeliest, from logits (vocabulary,)."""
    exact = logits.astype(np.float64)
    exact -= exact.max()
    exact -= np.log(np.exp(exact).sum())
    count = min(count, len(exact))
    best = np.argpartition(-exact, count - 1)[:count] if count else np.array([], dtype=np.int64)
    best = best[np.lexsort((best, -exact[best]))]
    likeliest = tuple((int(number), max(float(exact[number]), _LEAST)) for number in best)
    return Logprobs(max(float(exact[token_id]), _LEAST), likeliest)


def draw(logits: Logits, sampling: Sampling, index: int) -> int:
    """Token number `index` of an answer from logits (vocabulary,); temperature must not be 0."""
    exact = logits.astype(np.float64)
    # The bound keeps the quotient finite; long before it only the likeliest has any weight.
    weights = np.exp((exact - exact.max()) / max(sampling.temperature, _COLDEST))
    kept = _kept(weights, sampling)
    totals = np.cumsum(weights if kept is None else weights[kept])
    place = int(np.searchsorted(totals, uniform(sampling.seed, index) * totals[-1], side="right"))
    place = min(place, len(totals) - 1)
    return place if kept is None else int(kept[place])


def _kept(weights: Floats, sampling: Sampling) -> npt.NDArray[np.int64] | None:
    """Ids that top_k, top_p and min_p leave, ascending; None when they leave all.

    The likeliest has weight 1, so that min_p is a bound on weights whatever the others cut off.
    """
    top_k = sampling.top_k if 0 < sampling.top_k < len(weights) else 0
    if not top_k and sampling.top_p >= 1.0:
        return np.flatnonzero(weights >= sampling.min_p) if sampling.min_p > 0 else None
    ranked = _likeliest(weights, top_k or _FIRST)
    if sampling.top_p < 1.0:
        total = weights[ranked].sum() if top_k else weights.sum()
        totals = np.cumsum(weights[ranked])
        if totals[-1] < sampling.top_p * total and not top_k:
            ranked = _likeliest(weights, len(weights))
            totals = np.cumsum(weights[ranked])
        last = int(np.searchsorted(totals, sampling.top_p * total, side="left"))
        ranked = ranked[: last + 1]
    if sampling.min_p > 0:
        ranked = ranked[weights[ranked] >= sampling.min_p]
    return np.sort(ranked).astype(np.int64)


def _likeliest(weights: Floats, count: int) -> npt.NDArray[np.int64]:
    """Ids of the `count` largest weights, largest first, among equals the lowest first."""
    if count >= len(weights) or len(weights) <= _FIRST:
        return np.argsort(-weights, kind="stable")[:count]
    bound = np.partition(weights, -count)[-count]
    ids = np.flatnonzero(weights >= bound)
    return ids[np.argsort(-weights[ids], kind="stable")][:count]
