from __future__ import annotations

import numpy as np
import pytest
import torch

from inference.engine.patches import level_table, patchify


@pytest.mark.parametrize("size", [(112, 112), (588, 840), (840, 588), (28, 784)])
def test_bit_identical_to_the_library(size: tuple[int, int]) -> None:
    from transformers.models.glm4v.image_processing_pil_glm4v import Glm4vImageProcessorPil

    page = np.random.default_rng(1).integers(0, 256, (*size, 3), dtype=np.uint8)
    expected = Glm4vImageProcessorPil()(images=[page], return_tensors="pt")
    patches = patchify(page, level_table())
    assert expected["image_grid_thw"].tolist() == [[1, size[0] // 14, size[1] // 14]]
    assert torch.equal(patches, expected["pixel_values"])


def test_each_level_and_channel_has_its_own_value() -> None:
    table = level_table().view(3, 256)
    assert (table.diff(dim=1) > 0).all()
    assert len({float(value) for value in table[:, 128]}) == 3


def test_pixels_need_not_be_contiguous() -> None:
    page = np.random.default_rng(2).integers(0, 256, (56, 56, 4), dtype=np.uint8)
    view = page[..., :3]
    assert torch.equal(
        patchify(view, level_table()), patchify(np.ascontiguousarray(view), level_table())
    )
