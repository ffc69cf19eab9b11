"""Counter-based sampling: the random number of token i depends on (seed, i) and nothing else.

A resumed or re-batched request therefore draws the same numbers. The distribution is walked in
the order of token ids, not of probability: rounding differences between two batch shapes may swap
neighbours in a sorted order, but move a sum in id order only by about 1e-7.
"""

from __future__ import annotations

import hashlib
import struct

import numpy as np
import numpy.typing as npt

from inference.engine.values import Sampling

_WORD = 2**64
Floats = npt.NDArray[np.float64]


def uniform(seed: int, index: int) -> float:
    """A number in [0, 1) with 53 random bits, a pure function of its arguments (BLAKE2b)."""
    digest = hashlib.blake2b(struct.pack("<QQ", seed % _WORD, index), digest_size=8).digest()
    return float(int.from_bytes(digest, "little") >> 11) * 2.0**-53


def draw(logits: npt.NDArray[np.float32], sampling: Sampling, index: int) -> int:
    """Token number `index` of an answer from logits (vocabulary,); temperature must not be 0."""
    scaled = logits.astype(np.float64) / sampling.temperature
    weights = np.exp(scaled - scaled.max())
    kept = _kept(weights, sampling)
    totals = np.cumsum(weights if kept is None else weights[kept])
    place = int(np.searchsorted(totals, uniform(sampling.seed, index) * totals[-1], side="right"))
    place = min(place, len(totals) - 1)
    return place if kept is None else int(kept[place])


def _kept(weights: Floats, sampling: Sampling) -> npt.NDArray[np.int64] | None:
    """Ids that top_k and top_p leave, ascending; None when they leave all."""
    top_k = sampling.top_k if 0 < sampling.top_k < len(weights) else 0
    if not top_k and sampling.top_p >= 1.0:
        return None
    ranked = np.argsort(-weights, kind="stable")
    if top_k:
        ranked = ranked[:top_k]
    if sampling.top_p < 1.0:
        totals = np.cumsum(weights[ranked])
        last = int(np.searchsorted(totals, sampling.top_p * totals[-1], side="left"))
        ranked = ranked[: last + 1]
    return np.sort(ranked).astype(np.int64)
