"""The size at which the model sees a picture."""

from __future__ import annotations

import math

UNIT_PX = 28  # patch 14 x spatial merge 2
FRAMES = 2
"""A still picture is given to the model as so many frames, which count in its area."""


def model_size(height: int, width: int, area: tuple[int, int]) -> tuple[int, int]:
    """Height and width in pixels, multiples of 28, for a picture of `height` x `width` pixels.

    `area` is the smallest and the largest `frames x height x width` of the model. Source:
    `smart_resize` of transformers' Glm4v image processor, rounding and all.
    """
    if height < UNIT_PX or width < UNIT_PX:
        scale = max(UNIT_PX / height, UNIT_PX / width)
        height, width = int(height * scale), int(width * scale)
    smallest, largest = area
    rows, columns = round(height / UNIT_PX), round(width / UNIT_PX)
    given = FRAMES * height * width
    rounded = FRAMES * rows * columns * UNIT_PX**2
    if rounded > largest:
        shrink = math.sqrt(given / largest)
        rows = max(1, math.floor(height / shrink / UNIT_PX))
        columns = max(1, math.floor(width / shrink / UNIT_PX))
    elif rounded < smallest:
        grow = math.sqrt(smallest / given)
        rows = math.ceil(height * grow / UNIT_PX)
        columns = math.ceil(width * grow / UNIT_PX)
    return rows * UNIT_PX, columns * UNIT_PX
