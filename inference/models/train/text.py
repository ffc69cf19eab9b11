"""What is written on training pages: prose, settings, code, tables, and plain noise.

All of it is made up here from a seed. A good part is noise on purpose: a reader that has seen only
words would read what it expects instead of what is there.
"""

from __future__ import annotations

import string
from pathlib import Path
from random import Random

from inference.models.train.grid import ALPHABET, COLUMNS, ROWS

_COMMON = (Path(__file__).parent / "words.txt").read_text("utf-8").split()
_ONSETS = "b bl br c ch cl d dr f fl g gr h j k l m n p pl pr qu r s sh sl st str t th tr v w y z"
_VOWELS = "a e i o u ai ea ee ie oo ou"
_CODAS = " b ck d ft g l ll m n nd ng nt p r rd rk s ss st t th x zz"
_WORD_LETTERS = string.ascii_lowercase * 3 + string.ascii_uppercase
_KEYWORDS = [
    "if",
    "for",
    "while",
    "return",
    "def",
    "class",
    "import",
    "from",
    "let",
    "const",
    "var",
    "int",
    "void",
    "self",
    "this",
    "not",
    "None",
    "True",
    "False",
    "try",
    "except",
    "raise",
    "with",
    "lambda",
    "print",
    "len",
    "range",
    "yield",
    "async",
    "await",
    "static",
    "public",
]


class Writer:
    """Writes lines that fit on the grid; the same seed writes the same."""

    def __init__(self, random: Random) -> None:
        self._random = random

    def word(self) -> str:
        """One word: common, made up, or a random string."""
        draw = self._random.random()
        if draw < 0.35:
            return self._cased(self._random.choice(_COMMON))
        if draw < 0.65:
            return self._cased(self._syllables())
        if draw < 0.85:
            return self._string(_WORD_LETTERS, 1, 10)
        return self._number()

    def lines(self, count: int) -> list[str]:
        """Lines of one page; the first and the last are never blank."""
        kind = self._random.random()
        if kind < 0.35:
            lines = self._prose(count)
        elif kind < 0.5:
            lines = [self.setting()[0] for _ in range(count)]
        elif kind < 0.65:
            lines = [self._code() for _ in range(count)]
        elif kind < 0.8:
            lines = [self._noise() for _ in range(count)]
        else:
            makers = (self._noise, self._code, self._short, lambda: self.setting()[0])
            lines = [self._random.choice(makers)() for _ in range(count)]
        if self._random.random() < 0.3:
            lines = [line if self._random.random() < 0.8 else "" for line in lines]
        for edge in (0, -1):
            lines[edge] = lines[edge].strip() or self._short()
        return lines

    def setting(self) -> tuple[str, str, str]:
        """A line `key: value` with its key and its value."""
        style = self._random.random()
        if style < 0.4:
            key = "_".join(self._plain_word() for _ in range(self._random.randint(1, 2)))
        elif style < 0.6:
            key = self._syllables().upper()
        elif style < 0.8:
            key = self._plain_word() + self._random.choice("-._") + self._number()[:4]
        else:
            key = self._syllables().capitalize()
        key = key[:24].strip(".-_") or "key"
        separator = self._random.choice((": ", ": ", " = ", "="))
        words = self._random.randint(1, 3)
        value = " ".join(self.word() for _ in range(words))
        value = value[: COLUMNS - len(key) - len(separator)].strip() or "0"
        return key + separator + value, key, value

    def _prose(self, count: int) -> list[str]:
        lines: list[str] = []
        width = COLUMNS if self._random.random() < 0.7 else self._random.randint(12, COLUMNS)
        while len(lines) < count:
            lines += wrap(self._paragraph(), width)
        return lines[:count]

    def _paragraph(self) -> str:
        words: list[str] = []
        capital = True
        random = self._random
        for _ in range(random.randint(4, 60)):
            word = random.choice(_COMMON) if random.random() < 0.7 else self._syllables()
            if capital or random.random() < 0.06:
                word = word.capitalize()
            capital = False
            if random.random() < 0.03:
                word = random.choice(('"{}"', "({})", "'{}'", "{}'s", "{}-" + word)).format(word)
            if random.random() < 0.16:
                word += random.choice((",", ",", ";", ":", ".", ".", "?", "!"))
                capital = word[-1] in ".?!"
            words.append(word)
        return " ".join(words).rstrip(",;:.?!") + "."

    def _code(self) -> str:
        random = self._random
        line = "    " * random.randint(0, 4)
        wanted = random.randint(len(line) + 1, COLUMNS)
        while len(line) < wanted:
            draw = random.random()
            if draw < 0.25:
                line += random.choice(_KEYWORDS) + " "
            elif draw < 0.6:
                line += self._plain_word() + random.choice(("", "", "_", ".", " "))
            elif draw < 0.75:
                line += self._number()
            else:
                line += random.choice(
                    (
                        "(",
                        ")",
                        "[",
                        "]",
                        "{",
                        "}",
                        " = ",
                        " == ",
                        ", ",
                        ": ",
                        "->",
                        " + ",
                        "//",
                        "#",
                    )
                )
        return line[:COLUMNS].rstrip()

    def _noise(self) -> str:
        random = self._random
        draw = random.random()
        wanted = COLUMNS if random.random() < 0.25 else random.randint(1, COLUMNS)
        if draw < 0.5:
            line = "".join(random.choices(ALPHABET[1:], k=wanted))
            places = random.sample(range(wanted), k=wanted // random.randint(3, 12))
            line = "".join(" " if at in places else character for at, character in enumerate(line))
        elif draw < 0.6:
            line = random.choice(ALPHABET[1:]) * wanted
        elif draw < 0.75:
            few = random.sample(ALPHABET[1:], k=random.randint(2, 4))
            line = "".join(random.choices(few, k=wanted))
        elif draw < 0.9:
            line = "".join(self._cell() for _ in range(8))[:wanted]
        else:
            line = self._string(string.digits + "abcdef", wanted, wanted)
        return line.rstrip() or "x"

    def _cell(self) -> str:
        text = self._number() if self._random.random() < 0.6 else self._plain_word()
        return text[:9].rjust(10) if self._random.random() < 0.5 else text[:9].ljust(10)

    def _short(self) -> str:
        count = self._random.randint(1, 5)
        return " ".join(self.word() for _ in range(count))[:COLUMNS].strip()

    def _plain_word(self) -> str:
        if self._random.random() < 0.5:
            return self._random.choice(_COMMON)
        return self._syllables()

    def _syllables(self) -> str:
        random = self._random
        return "".join(
            random.choice(_ONSETS.split())
            + random.choice(_VOWELS.split())
            + random.choice(_CODAS.split(" "))
            for _ in range(random.randint(1, 3))
        )

    def _number(self) -> str:
        random = self._random
        digits = self._string(string.digits, 1, 6)
        draw = random.random()
        if draw < 0.6:
            return digits
        if draw < 0.8:
            return f"{digits}.{self._string(string.digits, 1, 3)}"
        return random.choice(("${}", "{}%", "-{}", "#{}", "{}:30", "0x{}", "{}kg")).format(digits)

    def _cased(self, word: str) -> str:
        draw = self._random.random()
        if draw < 0.75:
            return word
        return word.capitalize() if draw < 0.9 else word.upper()

    def _string(self, letters: str, shortest: int, longest: int) -> str:
        return "".join(self._random.choices(letters, k=self._random.randint(shortest, longest)))


def wrap(text: str, width: int) -> list[str]:
    """Lines of at most `width` characters, broken at spaces where there are any."""
    lines: list[str] = []
    line = ""
    for word in text.split(" "):
        if line and len(line) + 1 + len(word) > width:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}" if line else word
        while len(line) > width:
            lines.append(line[:width])
            line = line[width:]
    if line:
        lines.append(line)
    return lines


def page_lines(writer: Writer, count: int) -> list[str]:
    """`count` lines, 1 to ROWS, of one page."""
    return writer.lines(min(max(count, 1), ROWS))
