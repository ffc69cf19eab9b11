"""Pictures that clients send: data URLs to pixels as the model wants them, within bounds."""

from inference.picture.decode import Bounds, Picture, PictureError, open_picture
from inference.picture.resize import model_size

__all__ = ["Bounds", "Picture", "PictureError", "model_size", "open_picture"]
