"""The way from pycairo to Pango is proved, and a missing library is named."""

from __future__ import annotations

import ctypes

import cairo
import pytest

from inference.render import pango


def test_the_pointer_is_the_context() -> None:
    context = cairo.Context(cairo.ImageSurface(cairo.FORMAT_A8, 4, 4))
    context.set_line_width(7.25)
    shared = pango.library().cairo
    assert shared.cairo_get_line_width(pango.cairo_pointer(context)) == 7.25


def test_a_missing_library_names_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(name: str) -> ctypes.PyDLL:
        if name.startswith("libpango-"):
            raise OSError(f"{name}: cannot open shared object file")
        return real(name)

    real = ctypes.PyDLL
    monkeypatch.setattr(ctypes, "PyDLL", load)
    with pytest.raises(pango.PangoUnavailableError, match=r"apt-get install libpango-1\.0-0$"):
        pango.Pango()


def test_an_unknown_object_layout_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    other = cairo.Context(cairo.ImageSurface(cairo.FORMAT_A8, 4, 4))
    wrong = pango.cairo_pointer(other)
    monkeypatch.setattr(pango, "cairo_pointer", lambda _: wrong)
    with pytest.raises(pango.PangoUnavailableError, match="pycairo"):
        pango.Pango()


def test_there_is_one_font_map() -> None:
    assert pango.library() is pango.library()
