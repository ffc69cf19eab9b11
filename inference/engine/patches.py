"""Pixels to patches, bit-identical to the library's PIL image processor where that does not resize.

Rows of patches come in groups of four that the vision tower merges to one token: the order of axes
is (grid row, grid column, 2, 2, channel, time, y, x), with the one frame given twice in time.
Source: `Glm4vImageProcessorPil.patchify` of transformers.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from inference.engine.values import Pixels

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


def level_table(mean: Sequence[float] = CLIP_MEAN, std: Sequence[float] = CLIP_STD) -> torch.Tensor:
    """What each of 256 levels of each channel becomes when normalised: float32 (3 * 256,)."""
    scaled = (np.arange(256, dtype=np.float64) * (1 / 255)).astype(np.float32)
    centre, spread = np.array(mean, dtype=np.float32), np.array(std, dtype=np.float32)
    levels = (scaled[:, None] - centre) / spread
    return torch.from_numpy(np.ascontiguousarray(levels.T).reshape(-1))


def patchify(
    pixels: Pixels, table: torch.Tensor, patch: int = 14, merge: int = 2, frames: int = 2
) -> torch.Tensor:
    """Patches (grid height x grid width, 3 x frames x patch x patch) in float32.

    Computed on the device of `table`; only the bytes of the page travel there.
    """
    height, width, channels = pixels.shape
    grid_height, grid_width = height // patch, width // patch
    page = torch.from_numpy(np.ascontiguousarray(pixels)).to(table.device)
    page = page.view(
        grid_height // merge, merge, patch, grid_width // merge, merge, patch, channels
    )
    page = page.permute(0, 3, 1, 4, 6, 2, 5).reshape(-1, channels, patch * patch)
    offsets = torch.arange(channels, device=table.device, dtype=torch.int32) * 256
    levels = page.to(torch.int32) + offsets[:, None]
    # thrice as fast as table[levels]
    values = table.index_select(0, levels.reshape(-1)).view(levels.shape)
    count = grid_height * grid_width
    return values[:, :, None].expand(-1, -1, frames, -1).reshape(count, -1)
