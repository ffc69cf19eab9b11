"""Pango's C interface through ctypes, for drawing on pycairo's contexts.

Needs libpangocairo-1.0.so.0, libpango-1.0.so.0, libgobject-2.0.so.0 and libcairo.so.2 at run time,
no headers and no compiler. Why not cairo's own text calls: they know one font and no line breaking.

pycairo keeps its `cairo_t *` right behind the object header. That is read here, and `library()`
proves it before anything relies on it: a number set through pycairo must come back through C.

The calls keep the interpreter lock (PyDLL): each is short, and a call that lets go of the lock has
to win it back from the engine thread every time.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from ctypes import POINTER, c_char_p, c_double, c_int, c_uint, c_uint16, c_uint32, c_void_p
from functools import cache

import cairo

SCALE = 1024  # Pango units in a pixel
UNKNOWN_GLYPH = 0x10000000  # flag of a glyph no font has (PANGO_GLYPH_UNKNOWN_FLAG)
LEFT_TO_RIGHT, RIGHT_TO_LEFT = 0, 1
WRAP_WORD_OR_CHARACTER = 2
_ANTIALIAS_GREY, _HINT_NONE, _HINT_METRICS_ON = 2, 1, 2

_PACKAGES = {
    "libcairo.so.2": "libcairo2",
    "libgobject-2.0.so.0": "libglib2.0-0",
    "libpango-1.0.so.0": "libpango-1.0-0",
    "libpangocairo-1.0.so.0": "libpangocairo-1.0-0",
}


class PangoUnavailableError(RuntimeError):
    """Text cannot be laid out on this machine; the message names what to install."""


class ListNode(ctypes.Structure):
    """GSList."""


ListNode._fields_ = [("data", c_void_p), ("next", POINTER(ListNode))]


class LayoutLine(ctypes.Structure):
    """The public head of PangoLayoutLine; positions are bytes in the layout's text."""

    _fields_ = [
        ("layout", c_void_p),
        ("start_index", c_int),
        ("length", c_int),
        ("runs", POINTER(ListNode)),
    ]


class GlyphInfo(ctypes.Structure):
    """PangoGlyphInfo: glyph id, geometry, attributes."""

    _fields_ = [("glyph", c_uint32), ("geometry", c_int * 3), ("attributes", c_uint)]


class GlyphString(ctypes.Structure):
    """The head of PangoGlyphString."""

    _fields_ = [("num_glyphs", c_int), ("glyphs", POINTER(GlyphInfo))]


class Item(ctypes.Structure):
    """The head of PangoItem with the font of its PangoAnalysis."""

    _fields_ = [
        ("offset", c_int),
        ("length", c_int),
        ("num_chars", c_int),
        ("char_offset", c_int),  # padding before Pango 1.50
        ("shape_engine", c_void_p),
        ("lang_engine", c_void_p),
        ("font", c_void_p),
    ]


class GlyphItem(ctypes.Structure):
    """The head of PangoGlyphItem, one run of a line."""

    _fields_ = [("item", POINTER(Item)), ("glyphs", POINTER(GlyphString))]


class Rectangle(ctypes.Structure):
    """PangoRectangle, in Pango units."""

    _fields_ = [("x", c_int), ("y", c_int), ("width", c_int), ("height", c_int)]


class Attribute(ctypes.Structure):
    """The head of PangoAttribute; the range is in bytes."""

    _fields_ = [("klass", c_void_p), ("start_index", c_uint), ("end_index", c_uint)]


_POINTER, _NOTHING = c_void_p, None
_Signature = tuple[object, list[object]]
_CAIRO: Mapping[str, _Signature] = {
    "cairo_get_line_width": (c_double, [_POINTER]),
    "cairo_set_scaled_font": (_NOTHING, [_POINTER, _POINTER]),
    "cairo_show_glyphs": (_NOTHING, [_POINTER, _POINTER, c_int]),
    "cairo_font_options_create": (_POINTER, []),
    "cairo_font_options_destroy": (_NOTHING, [_POINTER]),
    "cairo_font_options_set_antialias": (_NOTHING, [_POINTER, c_int]),
    "cairo_font_options_set_hint_style": (_NOTHING, [_POINTER, c_int]),
    "cairo_font_options_set_hint_metrics": (_NOTHING, [_POINTER, c_int]),
}
_GOBJECT: Mapping[str, _Signature] = {
    "g_object_ref": (_POINTER, [_POINTER]),
    "g_object_unref": (_NOTHING, [_POINTER]),
}
_PANGO: Mapping[str, _Signature] = {
    "pango_attr_foreground_new": (POINTER(Attribute), [c_uint16, c_uint16, c_uint16]),
    "pango_attr_list_insert": (_NOTHING, [_POINTER, POINTER(Attribute)]),
    "pango_attr_list_new": (_POINTER, []),
    "pango_attr_list_unref": (_NOTHING, [_POINTER]),
    "pango_context_get_metrics": (_POINTER, [_POINTER, _POINTER, _POINTER]),
    "pango_context_set_base_dir": (_NOTHING, [_POINTER, c_int]),
    "pango_context_set_language": (_NOTHING, [_POINTER, _POINTER]),
    "pango_find_base_dir": (c_int, [c_char_p, c_int]),
    "pango_font_description_free": (_NOTHING, [_POINTER]),
    "pango_font_description_new": (_POINTER, []),
    "pango_font_description_set_absolute_size": (_NOTHING, [_POINTER, c_double]),
    "pango_font_description_set_family": (_NOTHING, [_POINTER, c_char_p]),
    "pango_font_get_glyph_extents": (
        _NOTHING,
        [_POINTER, c_uint32, POINTER(Rectangle), POINTER(Rectangle)],
    ),
    "pango_font_map_create_context": (_POINTER, [_POINTER]),
    "pango_font_map_get_family": (_POINTER, [_POINTER, c_char_p]),
    "pango_font_metrics_get_ascent": (c_int, [_POINTER]),
    "pango_font_metrics_get_descent": (c_int, [_POINTER]),
    "pango_font_metrics_unref": (_NOTHING, [_POINTER]),
    "pango_get_log_attrs": (_NOTHING, [c_char_p, c_int, c_int, _POINTER, _POINTER, c_int]),
    "pango_language_from_string": (_POINTER, [c_char_p]),
    "pango_layout_get_lines_readonly": (POINTER(ListNode), [_POINTER]),
    "pango_layout_get_unknown_glyphs_count": (c_int, [_POINTER]),
    "pango_layout_line_get_extents": (_NOTHING, [_POINTER, _POINTER, POINTER(Rectangle)]),
    "pango_layout_new": (_POINTER, [_POINTER]),
    "pango_layout_set_attributes": (_NOTHING, [_POINTER, _POINTER]),
    "pango_layout_set_auto_dir": (_NOTHING, [_POINTER, c_int]),
    "pango_layout_set_font_description": (_NOTHING, [_POINTER, _POINTER]),
    "pango_layout_set_justify": (_NOTHING, [_POINTER, c_int]),
    "pango_layout_set_text": (_NOTHING, [_POINTER, c_char_p, c_int]),
    "pango_layout_set_width": (_NOTHING, [_POINTER, c_int]),
    "pango_layout_set_wrap": (_NOTHING, [_POINTER, c_int]),
}
_PANGOCAIRO: Mapping[str, _Signature] = {
    "pango_cairo_context_set_font_options": (_NOTHING, [_POINTER, _POINTER]),
    "pango_cairo_context_set_resolution": (_NOTHING, [_POINTER, c_double]),
    "pango_cairo_font_get_scaled_font": (_POINTER, [_POINTER]),
    "pango_cairo_font_map_new": (_POINTER, []),
    "pango_cairo_show_layout_line": (_NOTHING, [_POINTER, _POINTER]),
}


def cairo_pointer(context: cairo.Context[cairo.ImageSurface]) -> int:
    """Address of the `cairo_t` inside a pycairo context; valid as long as the context lives."""
    address = id(context) + object.__basicsize__
    return int(ctypes.c_size_t.from_address(address).value)


class Pango:
    """The four libraries, proved to work together, and one font map.

    Fonts are found and loaded once per process, so there is one instance: `library()`. None of this
    may be used by two threads at the same time.
    """

    def __init__(self) -> None:
        self.cairo = _load("libcairo.so.2", _CAIRO)
        self.gobject = _load("libgobject-2.0.so.0", _GOBJECT)
        self.pango = _load("libpango-1.0.so.0", _PANGO)
        self.pangocairo = _load("libpangocairo-1.0.so.0", _PANGOCAIRO)
        self._prove_object_layout()
        self.font_map: int = self.pangocairo.pango_cairo_font_map_new()
        self.fonts_added = 0

    def _prove_object_layout(self) -> None:
        context = cairo.Context(cairo.ImageSurface(cairo.FORMAT_A8, 1, 1))
        two_pointers = 2 * ctypes.sizeof(c_void_p)
        width = 12.625
        context.set_line_width(width)
        if (
            cairo.Context.__basicsize__ != object.__basicsize__ + two_pointers
            or self.cairo.cairo_get_line_width(cairo_pointer(context)) != width
        ):
            raise PangoUnavailableError(
                f"pycairo {cairo.version} keeps its contexts in an unknown way or was built against"
                " another libcairo; build it here: pip install --no-binary :all: pycairo"
            )

    def new_context(self, language: str) -> int:
        """A PangoContext for grey, unhinted text; the caller unrefs it.

        Letters stand at whole pixels (Pango's default): the same letter then always has the same
        pixels, which a reading model rewards. The price is some 7 % more width in small Latin type.
        """
        context: int = self.pango.pango_font_map_create_context(self.font_map)
        options = self.cairo.cairo_font_options_create()
        self.cairo.cairo_font_options_set_antialias(options, _ANTIALIAS_GREY)
        self.cairo.cairo_font_options_set_hint_style(options, _HINT_NONE)
        self.cairo.cairo_font_options_set_hint_metrics(options, _HINT_METRICS_ON)
        self.pangocairo.pango_cairo_context_set_font_options(context, options)
        self.cairo.cairo_font_options_destroy(options)
        self.pangocairo.pango_cairo_context_set_resolution(context, 72.0)
        tag = self.pango.pango_language_from_string(language.encode())
        self.pango.pango_context_set_language(context, tag)
        return context

    def new_font(self, families: tuple[str, ...], size_px: float) -> int:
        """A PangoFontDescription; the caller frees it."""
        font: int = self.pango.pango_font_description_new()
        self.pango.pango_font_description_set_family(font, ",".join(families).encode())
        self.pango.pango_font_description_set_absolute_size(font, size_px * SCALE)
        return font

    def new_layout(self, context: int, font: int) -> int:
        """A PangoLayout that takes the direction of its context; the caller unrefs it."""
        layout: int = self.pango.pango_layout_new(context)
        self.pango.pango_layout_set_font_description(layout, font)
        self.pango.pango_layout_set_auto_dir(layout, 0)
        return layout

    def has_family(self, name: str) -> bool:
        """Whether a font family of exactly this name is installed (letter case aside)."""
        return bool(self.pango.pango_font_map_get_family(self.font_map, name.encode()))


def _load(name: str, functions: Mapping[str, _Signature]) -> ctypes.PyDLL:
    try:
        shared = ctypes.PyDLL(name)
        for symbol, (result, arguments) in functions.items():
            function = getattr(shared, symbol)
            function.restype = result
            function.argtypes = arguments
    except (OSError, AttributeError) as error:
        raise PangoUnavailableError(
            f"{name} cannot be used ({error}); install it: apt-get install {_PACKAGES[name]}"
        ) from error
    return shared


@cache
def library() -> Pango:
    """Pango, bound and proved on first use. Raises PangoUnavailableError."""
    return Pango()
