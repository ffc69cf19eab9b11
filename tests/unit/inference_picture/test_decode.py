from __future__ import annotations

from io import BytesIO
from itertools import product

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from inference.engine.patches import level_table, patchify
from inference.engine.values import DEFAULT_IMAGE_AREA
from inference.picture import Bounds, Picture, PictureError, model_size, open_picture
from tests.unit.inference_picture.draw import encoded, noise, turned, url

BOUNDS = Bounds(10 * 2**20, 25_000_000, 200.0)


def opened(data: bytes, bounds: Bounds = BOUNDS) -> Picture:
    return open_picture(url(data), bounds, DEFAULT_IMAGE_AREA)


@pytest.mark.parametrize(
    ("kind", "size"),
    [
        *product(("PNG", "JPEG", "WEBP"), [(112, 112), (333, 777), (20, 400), (900, 61)]),
        ("JPEG", (2600, 2400)),
    ],
)
def test_what_the_model_sees_is_what_the_library_would_show(
    kind: str, size: tuple[int, int]
) -> None:
    from transformers.models.glm4v.image_processing_pil_glm4v import Glm4vImageProcessorPil

    data = encoded(noise(*size), kind)
    picture = opened(data)
    pixels = picture.pixels()
    expected = Glm4vImageProcessorPil()(images=[Image.open(BytesIO(data))], return_tensors="pt")
    assert pixels.shape == (picture.grid[0] * 28, picture.grid[1] * 28, 3)
    grid = [1, pixels.shape[0] // 14, pixels.shape[1] // 14]
    assert expected["image_grid_thw"].tolist() == [grid]
    assert torch.equal(patchify(pixels, level_table()), expected["pixel_values"])


@pytest.mark.parametrize("area", [(56 * 56, 200_000), (400_000, 900_000), DEFAULT_IMAGE_AREA])
def test_sizes_are_the_librarys(area: tuple[int, int]) -> None:
    from transformers.models.glm4v.image_processing_pil_glm4v import smart_resize

    random = np.random.default_rng(5)
    for height, width in random.integers(1, 3000, (500, 2)).tolist():
        if max(height, width) > 200 * min(height, width):
            continue
        try:
            expected = smart_resize(2, height, width, 2, 28, *area)
        except ValueError:  # the rounding of a tiny side may take it beyond 200
            continue
        assert model_size(height, width, area) == expected, (height, width)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_stand_upright(kind: str, orientation: int) -> None:
    data = turned(noise(140, 224), orientation, kind)
    upright = ImageOps.exif_transpose(Image.open(BytesIO(data)))
    picture = opened(data)
    assert picture.grid == ((8, 5) if orientation >= 5 else (5, 8))
    assert np.array_equal(picture.pixels(), np.asarray(upright))


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_the_transparent_is_white(kind: str) -> None:
    image = noise(112, 112, 4)
    image.putalpha(0)
    assert (opened(encoded(image, kind)).pixels() == 255).all()


def test_transparency_of_palettes_and_grey() -> None:
    palette = Image.new("P", (112, 112), 0)
    palette.putpalette([10, 20, 30, 200, 100, 50])
    assert (opened(encoded(palette, transparency=0)).pixels() == 255).all()
    assert (opened(encoded(palette)).pixels() == (10, 20, 30)).all()
    grey = Image.new("LA", (112, 112), (0, 128))
    assert (opened(encoded(grey)).pixels() == 127).all()


def test_sixteen_bits_keep_their_brightness() -> None:
    deep = Image.fromarray(np.full((112, 112), 40_000, np.uint16))
    assert (opened(encoded(deep)).pixels() == 40_000 >> 8).all()


def test_colours_for_print_are_understood() -> None:
    cmyk = noise(112, 112).convert("CMYK")
    data = encoded(cmyk, "JPEG")
    expected = np.asarray(Image.open(BytesIO(data)).convert("RGB"))
    assert np.array_equal(opened(data).pixels(), expected)


PNG = encoded(noise(300, 300))


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("https://example.org/a.png", "never fetched"),
        ("file:///etc/passwd", "never fetched"),
        ("data:text/plain;base64,aGk=", "must begin with data:image"),
        ("data:image/png,abc", "must begin with data:image"),
        ("data:image/png;base64,!!!!", "is not base64"),
        ("data:image/png;base64,ÄÖ", "is not base64"),
        ("data:image/png;base64,", "no PNG, JPEG or WebP"),
        (url(b"hello"), "no PNG, JPEG or WebP"),
        (url(encoded(noise(30, 30), "GIF")), "no PNG, JPEG or WebP"),
        (url(encoded(noise(30, 30), "TIFF")), "no PNG, JPEG or WebP"),
        (url(encoded(noise(30, 30), "EPS")), "no PNG, JPEG or WebP"),
    ],
)
def test_what_is_no_picture_is_refused(address: str, reason: str) -> None:
    with pytest.raises(PictureError, match=reason):
        open_picture(address, BOUNDS, DEFAULT_IMAGE_AREA)


def test_the_media_type_is_not_believed() -> None:
    address = url(PNG, "jpeg").replace(";base64", ";name=a.jpg;base64")
    assert open_picture(address, BOUNDS, DEFAULT_IMAGE_AREA).grid == (11, 11)


def test_bounds_are_checked_before_decoding() -> None:
    blank = encoded(Image.new("L", (5001, 5000)))
    assert len(blank) < 100_000
    with pytest.raises(PictureError, match="5001 x 5000 pixels; 25000000 are allowed"):
        opened(blank)
    thin = encoded(Image.new("L", (201, 1)))
    with pytest.raises(PictureError, match="differ too much"):
        opened(thin)
    for limit in (len(PNG) - 1, len(PNG) // 2):
        with pytest.raises(PictureError, match="too large"):
            opened(PNG, Bounds(limit, 25_000_000, 200.0))
    assert opened(PNG, Bounds(len(PNG), 300 * 300, 1.0)).grid == (11, 11)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_broken_files_are_refused_wherever_they_break(kind: str) -> None:
    data = encoded(noise(300, 300), kind)
    random = np.random.default_rng(9)
    refused = 0
    for _ in range(60):
        broken = bytearray(data)
        if random.integers(2):
            del broken[int(random.integers(len(data))) :]
        else:
            for place in random.integers(0, len(data), 20):
                broken[place] = int(random.integers(256))
        try:
            pixels = opened(bytes(broken)).pixels()
        except PictureError:
            refused += 1
        else:
            assert pixels.shape[2] == 3
    assert refused > 10


def test_broken_exif_data_do_not_matter() -> None:
    data = turned(noise(140, 224), 6).replace(b"Exif\0\0MM", b"Exif\0\0XX")
    assert opened(data).grid == (5, 8)
