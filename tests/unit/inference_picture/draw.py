"""Pictures for tests, as the data URLs clients send."""

from __future__ import annotations

import base64
from io import BytesIO

import numpy as np
from PIL import ExifTags, Image


def noise(height: int, width: int, channels: int = 3) -> Image.Image:
    """A smooth picture in which no two places are alike."""
    rows, columns = np.mgrid[0:height, 0:width]
    waves = [np.sin(rows / (5 + c)) + np.cos(columns / (7 + 2 * c)) for c in range(channels)]
    pixels = ((np.stack(waves, -1) + 2) / 4 * 255).astype(np.uint8)
    return Image.fromarray(pixels)


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    out = BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def turned(image: Image.Image, orientation: int, kind: str = "JPEG") -> bytes:
    """A picture that says in its EXIF data how to turn it."""
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    return encoded(image, kind, exif=exif)


def url(data: bytes, kind: str = "png") -> str:
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
