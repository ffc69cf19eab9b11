"""Data URLs to pictures, and pictures to pixels; the only place that knows Pillow.

A picture is first opened, which reads its header and checks its bounds, and decoded only once the
whole request is known to fit: a file of some kilobytes may hold hundreds of megabytes of pixels.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from io import BytesIO

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image

from inference.picture.resize import UNIT_PX, model_size

Pixels = npt.NDArray[np.uint8]

FORMATS = ("PNG", "JPEG", "WEBP")
# The media type is not believed: what the bytes are decides.
_DATA_URL = re.compile(r"data:image/[\w.+*-]+(;[\w.+=-]+)*;base64,", re.IGNORECASE)
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
Image.MAX_IMAGE_PIXELS = None  # our own bound is checked instead, and is an error, no warning


class PictureError(ValueError):
    """A picture is refused; the text continues a sentence about it ("… is not base64")."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one picture may be."""

    size_bytes: int
    """Of the encoded file."""
    pixels: int
    aspect_ratio: float
    """Long side over short side."""


class Picture:
    """A picture whose header was read; `pixels` may still find the rest of it broken."""

    def __init__(self, image: Image.Image, turn: int, area: tuple[int, int]) -> None:
        self._image = image
        self._turn = turn
        width, height = image.size
        if turn >= 5:  # lies on its side
            width, height = height, width
        self._size = model_size(height, width, area)

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of visual tokens."""
        return self._size[0] // UNIT_PX, self._size[1] // UNIT_PX

    def pixels(self) -> Pixels:
        """The picture upright, on white, at the model's size. Raises PictureError.

        The steps are those of the library's image processor over Pillow, with the same result.
        """
        height, width = self._size
        try:
            with self._image as image:
                upright = _rgb(image)
            if self._turn in _TURNS:
                upright = upright.transpose(_TURNS[self._turn])
            scaled = upright.resize((width, height), Image.Resampling.BICUBIC)
            return np.array(scaled)  # writable, as torch wants it
        except Exception as error:  # decoders raise anything on broken bytes
            raise PictureError("is broken and cannot be decoded") from error


def open_picture(url: str, bounds: Bounds, area: tuple[int, int]) -> Picture:
    """A picture from a data URL, its bounds checked. Raises PictureError; fetches nothing."""
    data = _data(url, bounds.size_bytes)
    try:
        image = Image.open(BytesIO(data), formats=FORMATS)
        width, height = image.size
    except Exception as error:  # decoders raise anything on broken bytes
        raise PictureError("is no PNG, JPEG or WebP picture") from error
    if width * height > bounds.pixels:
        raise PictureError(f"has {width} x {height} pixels; {bounds.pixels} are allowed")
    if max(width, height) > bounds.aspect_ratio * min(width, height):
        raise PictureError(f"has {width} x {height} pixels; its sides differ too much")
    return Picture(image, _turn(image), area)


def _data(url: str, most_bytes: int) -> bytes:
    prefix = _DATA_URL.match(url)
    if prefix is None:
        if url[:5].lower() == "data:":
            raise PictureError("must begin with data:image/TYPE;base64,")
        raise PictureError("must be a data URL: addresses are never fetched")
    encoded = len(url) - prefix.end()
    if encoded // 4 * 3 > most_bytes + 2:
        raise PictureError(f"is too large: {most_bytes} bytes are allowed")
    try:
        data = base64.b64decode(url[prefix.end() :], validate=True)
    except (binascii.Error, ValueError):
        raise PictureError("is not base64") from None
    if len(data) > most_bytes:
        raise PictureError(f"is too large: {most_bytes} bytes are allowed")
    return data


def _turn(image: Image.Image) -> int:
    """EXIF orientation, 1 to 8; a picture whose EXIF data are broken is taken as it is."""
    if image.format == "PNG" and "exif" not in image.info:
        return 1  # asking would decode it now, in search of data behind the pixels
    try:
        turn = image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # noqa: BLE001  # EXIF data can be broken in any way, and do not matter
        return 1
    return turn if turn in _TURNS else 1


def _rgb(image: Image.Image) -> Image.Image:
    """Eight bits of red, green and blue; what is transparent shows white."""
    if image.mode.startswith("I"):
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if "A" in image.getbands() or image.info.get("transparency") is not None:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, (255, 255, 255, 255))
        image = Image.alpha_composite(white, image)
    return image.convert("RGB")
