"""Spans of a text that a reader of pages gets wrong, to be sent along as text.

Models that read drawn pages are weak at rare alphanumerics: no language helps to guess the next
character of a hash. Such spans are found by their looks: identifiers in groups of hexadecimal
digits (UUIDs, MAC addresses), long hexadecimal and decimal numbers, and words in which letters and
digits take turns (keys, tokens). Time is linear in the text: words are cut out first, then judged.
"""

from __future__ import annotations

import re

MOST_SPANS = 256
LONGEST_SPAN_CHARACTERS = 256
_WORD = re.compile(r"[0-9A-Za-z]+(?:[-:_+/=][0-9A-Za-z]+)*")
_NUMBERS = re.compile(
    r"0[xX][0-9a-fA-F]{4,}"
    r"|[0-9a-fA-F]{4,}(?:-[0-9a-fA-F]{4,}){2,}"  # UUIDs
    r"|[0-9a-fA-F]{2}(?:[:-][0-9a-fA-F]{2}){5,}"  # MAC addresses, fingerprints
    r"|[0-9]{9,}"
)
_HASH = re.compile(r"[0-9a-f]{7,}|[0-9A-F]{7,}")
_TURNS = re.compile(r"(?:[0-9]+[A-Za-z]+[0-9]+|[A-Za-z]+[0-9]+[A-Za-z]+)[0-9A-Za-z]*")
_PARTS = re.compile(r"[-:_+/=]")
_SHORTEST_KEY = 7


def verbatim_spans(text: str) -> tuple[str, ...]:
    """The spans of `text` that should be kept as text: each once, in order, at most 256.

    Words of more than 256 characters are data, not names, and are left out.
    """
    found: dict[str, None] = {}
    for match in _WORD.finditer(text):
        word = match.group()
        if len(word) <= LONGEST_SPAN_CHARACTERS and word not in found and _is_hard(word):
            found[word] = None
            if len(found) == MOST_SPANS:
                break
    return tuple(found)


def _is_hard(word: str) -> bool:
    if _NUMBERS.fullmatch(word):
        return True
    return any(
        _TURNS.fullmatch(part) or (_HASH.fullmatch(part) and not (part.isalpha() or part.isdigit()))
        for part in _PARTS.split(word)
        if len(part) >= _SHORTEST_KEY
    )
