from __future__ import annotations

import numpy as np
import pytest
import torch

from inference.engine.positions import rope_positions
from inference.engine.values import ImagePlace
from tests.unit.inference_engine.oracle import loaded


@pytest.mark.parametrize(
    "images",
    [
        (),
        (ImagePlace(3, 4, 5),),
        (ImagePlace(0, 2, 7),),
        (ImagePlace(2, 6, 3), ImagePlace(21, 1, 1), ImagePlace(30, 3, 9)),
    ],
)
def test_equal_to_the_library(images: tuple[ImagePlace, ...]) -> None:
    length = 64
    types = torch.zeros((1, length), dtype=torch.int)
    for place in images:
        types[0, place.start : place.start + place.tokens] = 1
    grids = torch.tensor([[1, 2 * place.rows, 2 * place.columns] for place in images])
    expected, delta = loaded().model.model.get_rope_index(
        torch.zeros((1, length), dtype=torch.long), types, image_grid_thw=grids
    )
    positions, own_delta = rope_positions(length, images)
    assert np.array_equal(positions, expected[:, 0].numpy())
    assert own_delta == int(delta)


def test_images_side_by_side_stay_two() -> None:
    positions, delta = rope_positions(9, [ImagePlace(0, 2, 2), ImagePlace(4, 2, 2)])
    assert positions[0].tolist() == [0, 0, 0, 0, 2, 2, 2, 2, 4]
    assert positions[2].tolist() == [0, 1, 0, 1, 2, 3, 2, 3, 4]
    assert delta == -4
