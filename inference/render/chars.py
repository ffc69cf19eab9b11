"""Glyphs of single Chinese characters, shaped by Pango once and kept.

An ideograph looks the same beside whatever stands next to it, and so does most punctuation: that is
tried, for every ideograph beside another one and for every pair of punctuation marks, before a
character is put into the table. Its ink must also stay inside its own cell, so that it makes no
difference which characters cairo draws in one call.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from inference.render import pango
from inference.render.units import NOT_SIMPLE, Integers, Table

IDEOGRAPH = "\u4e00"
_UNKNOWN = -2
_CODES = 0x10000
_SPACES = [0x3000]
PUNCTUATION = "0123456789,.%-\u3000、。〈〉《》「」『』【】・—‘’“”…！（），．：；？～"


class CharacterTable(Table):
    """Rows for characters of the basic plane in one set of fonts; not for two threads at once."""

    def __init__(self, context: int, font: int) -> None:
        super().__init__(context, font, IDEOGRAPH)
        self._rows: Integers = np.full(_CODES, _UNKNOWN, np.int64)
        self._rows[ord("\n")] = 0
        self._add(IDEOGRAPH + PUNCTUATION)
        self._refuse_pairs()

    def numbers(self, text: str) -> Integers:
        """The row in `units` of each character; NOT_SIMPLE for what must be left to Pango."""
        codes = np.frombuffer(text.encode("utf-32-le"), np.uint32)
        numbers = self._rows[codes]
        unknown = numbers == _UNKNOWN
        if unknown.any():
            self._add("".join(map(chr, np.unique(codes[unknown]).tolist())))
            numbers = self._rows[codes]
        return numbers

    def _add(self, characters: str) -> None:
        """Try new characters, each between two ideographs, all at once."""
        shapes = self.shape(f"{IDEOGRAPH}{character}{IDEOGRAPH}" for character in characters)
        codes: list[int] = []
        found: list[npt.NDArray[np.void]] = []
        for character, (infos, fonts) in zip(characters, shapes, strict=True):
            self._rows[ord(character)] = NOT_SIMPLE
            if len(infos) == 3 and set(fonts) == {self.font}:
                codes.append(ord(character))
                found.append(infos)
        if not found:
            return
        glyphs = np.stack(found)
        simple = self.are_before(glyphs[:, 0]) & self.are_before(glyphs[:, 2])
        simple &= self.are_simple(glyphs[:, 1])
        simple &= np.fromiter(map(self._inside_its_cell, glyphs[:, 1]), bool, len(glyphs))
        numbers = self.store_each(glyphs[simple, 1], np.isin(np.array(codes)[simple], _SPACES))
        self._rows[np.array(codes)[simple]] = numbers

    def _refuse_pairs(self) -> None:
        """Take out punctuation that changes beside other punctuation."""
        marks = [mark for mark in PUNCTUATION if self._rows[ord(mark)] != NOT_SIMPLE]
        texts = [IDEOGRAPH + "".join(first + second for second in marks) for first in marks]
        known = self._rows.copy()
        for first, text, (infos, fonts) in zip(marks, texts, self.shape(texts), strict=True):
            rows = self.units[known[[ord(character) for character in text]]]
            alone = self.glyphs[rows[:, 0]]
            if (
                len(infos) != len(text)
                or set(fonts) != {self.font}
                or (infos["width"] != rows[:, 2] * pango.SCALE).any()
                or (infos["glyph"] != alone["index"]).any()
                or (infos["x"] != alone["x"] * pango.SCALE).any()
            ):
                self._rows[ord(first)] = NOT_SIMPLE

    def _inside_its_cell(self, info: npt.NDArray[np.void]) -> bool:
        ink = self.ink(info)
        return bool(ink.x >= 0 and ink.x + ink.width <= int(info["width"]))
