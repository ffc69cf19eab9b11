"""Multimodal rotary positions (M-RoPE) of a prompt, as Glm4v defines them.

Text advances all three axes together. An image at position p takes temporal p, height p + row and
width p + column; the text behind it goes on at p + max(rows, columns). Source: `get_rope_index` of
transformers' Glm4v model, against which this is tested; computed here because the library needs
image tokens told apart by runs of type ids, which two images side by side would join.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from inference.engine.values import ImagePlace

Positions = npt.NDArray[np.int64]


def rope_positions(length: int, images: Sequence[ImagePlace]) -> tuple[Positions, int]:
    """Positions (3, length) and the delta that turns an index behind them into its position."""
    positions = np.empty((3, length), dtype=np.int64)
    index = 0
    position = 0
    for place in images:
        text = place.start - index
        positions[:, index : place.start] = np.arange(position, position + text)
        position += text
        index = place.start + place.tokens
        rows, columns = np.divmod(np.arange(place.tokens), place.columns)
        positions[0, place.start : index] = position
        positions[1, place.start : index] = position + rows
        positions[2, place.start : index] = position + columns
        position += max(place.rows, place.columns)
    positions[:, index:] = np.arange(position, position + length - index)
    return positions, position - index
