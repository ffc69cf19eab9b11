"""Make every character drawable, one for one, so that what is counted is what was sent.

| character | drawn as |
|---|---|
| line breaks: \\n, \\r\\n, \\r, VT, FF, NEL, U+2028, U+2029 | a new line (or the newline marker) |
| tab | space up to the next stop of eight columns |
| other control characters U+0000 to U+001F, U+007F | their pictures U+2400 to U+2421 |
| control characters U+0080 to U+009F except NEL | U+FFFD |
| lone surrogates U+D800 to U+DFFF | U+FFFD |
| everything else, zero-width characters too | itself; a box with its number if no font has it |
"""

from __future__ import annotations

import re
import unicodedata

LINE_BREAK = re.compile("\r\n|[\n\r\v\f\x85\u2028\u2029]")
_UNDRAWABLE = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff]")
_REPLACEMENT = "\ufffd"
_PICTURES = 0x2400
_DELETE, _DELETE_PICTURE = "\x7f", "\u2421"


def normalise(text: str) -> str:
    """`text` with undrawable characters replaced by visible ones; the length stays the same."""
    return _UNDRAWABLE.sub(_visible, text)


def character_names(characters: str) -> list[str]:
    """Each character as `U+13000 EGYPTIAN HIEROGLYPH A001`, for reports of missing glyphs."""
    return [
        f"U+{ord(character):04X} {unicodedata.name(character, '')}".rstrip()
        for character in characters
    ]


def _visible(match: re.Match[str]) -> str:
    character = match.group()
    if character < " ":
        return chr(_PICTURES + ord(character))
    return _DELETE_PICTURE if character == _DELETE else _REPLACEMENT
