"""The atlas is the renderer: what is trained on is what the product draws."""

from random import Random

import numpy as np
import pytest

from inference.models.train.grid import (
    ALPHABET,
    COLUMNS,
    PROFILE,
    ROWS,
    TOKEN_PX,
    TOKENS_HIGH,
    atlas,
    draw,
    page_codes,
)
from inference.models.train.text import Writer
from inference.render import render_pages, resolve_style


def rendered(lines: list[str]) -> np.ndarray:
    pages = list(render_pages("\n".join(lines), resolve_style(PROFILE)))
    assert len(pages) == 1
    return 255 - pages[0].pixels


def noise(random: Random) -> list[str]:
    lengths = [random.randint(1, COLUMNS) for _ in range(ROWS)]
    return [random.choice("x|@") + "".join(random.choices(ALPHABET[1:], k=n - 1)) for n in lengths]


@pytest.mark.parametrize("seed", range(8))
def test_atlas_pages_are_the_renderers_pixels(seed: int) -> None:
    lines = noise(Random(seed)) if seed % 2 else Writer(Random(seed)).lines(ROWS)
    drawn = draw(page_codes(lines))
    for channel in range(3):
        np.testing.assert_array_equal(drawn, rendered(lines)[..., channel])


def test_every_character_looks_different() -> None:
    shapes = {glyph.tobytes() for glyph in atlas()}
    assert len(shapes) == len(ALPHABET)


def test_ink_lies_in_the_lower_half_of_a_row_of_tokens() -> None:
    page = draw(page_codes(noise(Random(1))))
    rows = page.reshape(TOKENS_HIGH, TOKEN_PX, -1)
    assert rows[:ROWS, TOKEN_PX // 2 :].any(axis=(1, 2)).all()
    assert not rows[:, : TOKEN_PX // 2].any()


def test_what_does_not_fit_is_refused() -> None:
    for lines in (["x" * (COLUMNS + 1)], ["x"] * (ROWS + 1), ["\u00e9"], ["a\tb"]):
        with pytest.raises(ValueError, match=r"page holds|printable ASCII"):
            page_codes(lines)
