"""The pictures of a request, opened: their errors name the part that is to blame."""

from __future__ import annotations

from dataclasses import dataclass

from inference.batching.chat import ChatRequest, ImageUrl
from inference.config import LimitsConfig
from inference.engine.values import Pixels
from inference.errors import RequestError
from inference.picture import Bounds, Picture, PictureError, open_picture


@dataclass(frozen=True, slots=True)
class RequestPicture:
    """A picture with its place in the request."""

    picture: Picture
    param: str

    @property
    def grids(self) -> tuple[tuple[int, int], ...]:
        """Rows and columns of visual tokens, as of a document with one page."""
        return (self.picture.grid,)

    def pixels(self) -> Pixels:
        """Decode. Raises RequestError."""
        try:
            return self.picture.pixels()
        except PictureError as error:
            raise _refused(self.param, error) from error


def open_pictures(
    chat: ChatRequest, limits: LimitsConfig, area: tuple[int, int]
) -> dict[ImageUrl, RequestPicture]:
    """The pictures of a request, not decoded yet. Raises RequestError."""
    sent = [image for message in chat.messages for image in message.images]
    if len(sent) > limits.pages:
        detail = f"the messages have {len(sent)} images; the limit is {limits.pages}"
        raise RequestError("context_length_exceeded", detail, "messages")
    bounds = Bounds(limits.image_bytes, limits.image_pixels, limits.image_aspect_ratio)
    return {image: _open(image, bounds, area) for image in sent}


def _open(image: ImageUrl, bounds: Bounds, area: tuple[int, int]) -> RequestPicture:
    try:
        return RequestPicture(open_picture(image.url, bounds, area), image.param)
    except PictureError as error:
        raise _refused(image.param, error) from error


def _refused(param: str, error: PictureError) -> RequestError:
    return RequestError("invalid_request", f"{param} {error}", param)
