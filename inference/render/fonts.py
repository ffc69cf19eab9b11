"""Font files beside the installed fonts, and which families there are."""

from __future__ import annotations

import ctypes
from ctypes import POINTER, byref, c_char_p, c_int, c_uint, c_void_p
from functools import cache

from inference.render import pango

_FC_MATCH = 0  # FcResultMatch


class FontError(ValueError):
    """A font file cannot be used; the message says why."""


@cache
def add_font(path: str) -> str:
    """Make a font file usable in this process; the family it holds. Raises FontError."""
    fontconfig, pangoft = _libraries()
    count = c_int()
    pattern = fontconfig.FcFreeTypeQuery(path.encode(), 0, None, byref(count))
    if not pattern:
        raise FontError(f"{path} is no font that can be read")
    try:
        family = c_char_p()
        found = fontconfig.FcPatternGetString(pattern, b"family", 0, byref(family))
        if found != _FC_MATCH or not family.value:
            raise FontError(f"{path} names no font family")
        name = family.value.decode()
    finally:
        fontconfig.FcPatternDestroy(pattern)
    if not fontconfig.FcConfigAppFontAddFile(None, path.encode()):
        raise FontError(f"{path} was refused by fontconfig")
    pangoft.pango_fc_font_map_config_changed(pango.library().font_map)
    pango.library().fonts_added += 1
    return name


def missing_families(families: tuple[str, ...]) -> tuple[str, ...]:
    """Those of the font families that are not installed; Pango would silently take others."""
    return tuple(name for name in families if not pango.library().has_family(name))


@cache
def _libraries() -> tuple[ctypes.PyDLL, ctypes.PyDLL]:
    try:
        fontconfig = ctypes.PyDLL("libfontconfig.so.1")
        pangoft = ctypes.PyDLL("libpangoft2-1.0.so.0")
    except OSError as error:
        raise pango.PangoUnavailableError(f"fonts cannot be read from files: {error}") from error
    fontconfig.FcFreeTypeQuery.argtypes = [c_char_p, c_uint, c_void_p, POINTER(c_int)]
    fontconfig.FcFreeTypeQuery.restype = c_void_p
    fontconfig.FcPatternGetString.argtypes = [c_void_p, c_char_p, c_int, POINTER(c_char_p)]
    fontconfig.FcPatternGetString.restype = c_int
    fontconfig.FcPatternDestroy.argtypes = [c_void_p]
    fontconfig.FcPatternDestroy.restype = None
    fontconfig.FcConfigAppFontAddFile.argtypes = [c_void_p, c_char_p]
    fontconfig.FcConfigAppFontAddFile.restype = c_int
    pangoft.pango_fc_font_map_config_changed.argtypes = [c_void_p]
    pangoft.pango_fc_font_map_config_changed.restype = None
    return fontconfig, pangoft
