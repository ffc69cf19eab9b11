"""Questions and answers over pages, with the place on the page that belongs to every token."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from random import Random

from inference.models.train.grid import (
    CELLS_PER_TOKEN,
    COLUMNS,
    TOKENS_HIGH,
    TOKENS_PER_PAGE,
    TOKENS_WIDE,
)
from inference.models.train.text import Writer
from inference.models.train.vocabulary import MARK_EVERY, Vocabulary

NOWHERE = -1
NOT_FOUND = "Not found."
EMPTY_LINE = "That line is empty."
NO_PAGE = "There is no page to read."
UNKNOWN_TASK = "I can only read pages and look things up on them."
_UNKNOWN = (
    "Write a poem.",
    "Who are you?",
    "Translate this to French.",
    "Summarize the page.",
    "What is 2 + 2?",
    "Tell me a joke.",
    "How is the weather?",
    "Why?",
    "Describe the picture.",
    "Hello!",
)
_OTHER_ROWS_SHARE = 0.25
_TRANSCRIBE = ("Transcribe.", "Transcribe.", "Transcribe the page.", "Read the page.", "")

Lines = Sequence[str]


@dataclass(frozen=True, slots=True)
class Window:
    """A part of a transcription of one page, trained on without the rest.

    Everything in it stays at its position. So every line of a full page is met as often as the
    first one, for the price of a short page.
    """

    begin: int
    """First token of the answer that is there."""
    end: int
    rows: tuple[int, ...]
    """Rows of visual tokens that are there: those of the part and a few others."""


@dataclass(frozen=True, slots=True)
class Example:
    """One conversation; places are visual tokens counted over all its pages, or NOWHERE."""

    pages: tuple[tuple[str, ...], ...]
    question: str
    answer: list[int]
    places: list[int]
    """Where to look to predict each token of the answer."""
    question_places: list[int]
    """Where what is asked for stands, for each character of the question."""
    text: str
    """The answer as it is read by the user."""
    window: Window | None = None


@dataclass(slots=True)
class _Answer:
    """An answer being built."""

    vocabulary: Vocabulary
    ids: list[int] = field(default_factory=list)
    places: list[int] = field(default_factory=list)

    def add(self, token: int, place: int = NOWHERE) -> None:
        self.ids.append(token)
        self.places.append(place)

    def say(self, text: str) -> None:
        for token in self.vocabulary.text(text):
            self.add(token)

    def mark(self, page: int, row: int, place: int) -> None:
        """Say where reading goes on; the first page is named only once."""
        if page or not self.ids:
            self.add(self.vocabulary.pages[page])
        self.add(self.vocabulary.lines[row], place)

    def read(self, page: int, row: int, line: str, start: int = 0, searched: bool = False) -> None:
        """Line mark, then the characters from `start` on with their column marks.

        A place that is `searched` for is known only after the layer that looks at places, so the
        marks that name it look nowhere.
        """
        self.mark(page, row, NOWHERE if searched else place_of(page, row, start))
        first = start - start % MARK_EVERY
        for column in range(first, len(line)):
            place = place_of(page, row, column)
            if column and column % MARK_EVERY == 0:
                if column > first:
                    self.mark(page, row, place)
                known = column > first or not searched
                self.add(self.vocabulary.columns[column], place if known else NOWHERE)
            if column < start:
                self.add(self.vocabulary.skip, place)
            else:
                self.add(self.vocabulary.text(line[column])[0], place)

    def after(self, token: int, page: int, row: int, column: int) -> None:
        """A token that follows what was read; one looks at the cell behind it."""
        self.add(token, place_of(page, row, column) if column < COLUMNS else NOWHERE)


def place_of(page: int, row: int, column: int) -> int:
    """The visual token that shows a cell."""
    return page * TOKENS_PER_PAGE + row * TOKENS_WIDE + column // CELLS_PER_TOKEN


class TaskMaker:
    """Makes examples; the same seed makes the same."""

    def __init__(self, vocabulary: Vocabulary, random: Random) -> None:
        self._vocabulary = vocabulary
        self._random = random
        self._writer = Writer(random)

    def transcription(self, lines: int, pages: int = 1) -> Example:
        """Read `pages` pages with up to `lines` lines each."""
        contents = tuple(
            tuple(self._writer.lines(self._random.randint(max(1, lines // 2), lines)))
            for _ in range(pages)
        )
        return transcribe(self._vocabulary, contents, self._random.choice(_TRANSCRIBE))

    def window(self, lines: int, most_tokens: int) -> Example:
        """A part of the transcription of a page with that many lines, from a line's mark on."""
        random = self._random
        contents = (tuple(self._writer.lines(lines)),)
        whole = transcribe(self._vocabulary, contents, random.choice(_TRANSCRIBE))
        begin = whole.answer.index(self._vocabulary.lines[random.randrange(lines)])
        end = min(len(whole.answer), begin + random.randint(8, most_tokens))
        seen = {place // TOKENS_WIDE for place in whole.places[begin : end + 1] if place != NOWHERE}
        rows = {row for row in range(TOKENS_HIGH) if random.random() < _OTHER_ROWS_SHARE}
        return replace(whole, window=Window(begin, end, tuple(sorted(seen | rows))))

    def value(self, lines: int, pages: int = 1) -> Example:
        """ "What is the value of KEY?\""""
        page, row, contents = self._place(lines, pages)
        line, key, value = self._writer.setting()
        question = f"What is the value of {key}?"
        begin = question.index(key, len("What is the value of"))
        if any(_mentions(text, key) for one in contents for text in one):
            return self._absent(contents, f"What is the value of {self._unheard(contents)}?")
        contents[page][row] = line
        answer = _Answer(self._vocabulary)
        start = len(line) - len(value)
        answer.read(page, row, line, start, searched=True)
        answer.after(self._vocabulary.end, page, row, len(line))
        places = self._matches(question, begin, key, place_of(page, row, 0), 0)
        return _example(contents, question, answer, places, value)

    def line(self, lines: int, pages: int = 1) -> Example:
        """ "What is on line N?\""""
        page, row, contents = self._place(lines, pages)
        question = f"What is on line {row + 1}?"
        if page or (pages > 1 and self._random.random() < 0.5):
            question = f"What is on line {row + 1} of page {page + 1}?"
        line = contents[page][row]
        answer = _Answer(self._vocabulary)
        answer.read(page, row, line, searched=True)
        if line:
            answer.after(self._vocabulary.end, page, row, len(line))
        else:
            answer.say(EMPTY_LINE)
            answer.add(self._vocabulary.end)
        return _example(contents, question, answer, [NOWHERE] * len(question), line or EMPTY_LINE)

    def holder(self, lines: int, pages: int = 1) -> Example:
        """ "Which line holds WORD?\""""
        page, row, contents = self._place(lines, pages)
        words = [word for word in contents[page][row].split(" ") if len(word) >= 4]
        texts = [text for one in contents for text in one]
        unique = [w for w in words if sum(text.count(w) for text in texts) == 1]
        if not unique:
            return self._absent(contents, f"Which line holds {self._unheard(contents)}?")
        word = self._random.choice(unique)
        column = contents[page][row].index(word)
        question = f"Which line holds {word}?"
        answer = _Answer(self._vocabulary)
        answer.mark(page, row, NOWHERE)
        spoken = f"{row + 1}" if pages == 1 else f"{row + 1} of page {page + 1}"
        answer.say(spoken)
        answer.add(self._vocabulary.end)
        first = place_of(page, row, 0)
        places = self._matches(question, len("Which line holds "), word, first, column)
        return _example(contents, question, answer, places, spoken)

    def refusal(self) -> Example:
        """A task that is none of the reader's, or a question without a page."""
        if self._random.random() < 0.5:
            contents = [list(self._writer.lines(self._random.randint(1, 4)))]
            question, spoken = self._random.choice(_UNKNOWN), UNKNOWN_TASK
        else:
            contents, spoken = [], NO_PAGE
            question = self._random.choice((*_UNKNOWN, *_TRANSCRIBE, self._writer.lines(1)[0]))
        return self._spoken(contents, question, spoken)

    def _absent(self, contents: list[list[str]], question: str) -> Example:
        return self._spoken(contents, question, NOT_FOUND)

    def _spoken(self, contents: list[list[str]], question: str, spoken: str) -> Example:
        answer = _Answer(self._vocabulary)
        answer.say(spoken)
        answer.add(self._vocabulary.end)
        return _example(contents, question, answer, [NOWHERE] * len(question), spoken)

    def _unheard(self, contents: list[list[str]]) -> str:
        while True:
            word = self._writer.setting()[1]
            if len(word) >= 4 and not any(word in text for one in contents for text in one):
                return word

    def _place(self, lines: int, pages: int) -> tuple[int, int, list[list[str]]]:
        contents = [
            list(self._writer.lines(self._random.randint(max(1, lines // 2), lines)))
            for _ in range(pages)
        ]
        page = self._random.randrange(pages)
        return page, self._random.randrange(len(contents[page])), contents

    def _matches(
        self, question: str, begin: int, wanted: str, first: int, column: int
    ) -> list[int]:
        """Each last character of a token's four looks at that token; so does the very last one."""
        places = [NOWHERE] * len(question)
        for offset in range(len(wanted)):
            at = column + offset
            ends_token = at % CELLS_PER_TOKEN == CELLS_PER_TOKEN - 1
            if (ends_token and offset >= 2) or offset == len(wanted) - 1:
                places[begin + offset] = first + at // CELLS_PER_TOKEN
        return places


def transcribe(vocabulary: Vocabulary, contents: Sequence[Lines], question: str) -> Example:
    """The example that reads everything on the pages, line by line."""
    answer = _Answer(vocabulary)
    page = row = 0
    for page, lines in enumerate(contents):
        if page:
            answer.add(vocabulary.newline)
        for row, line in enumerate(lines):
            if row:
                answer.after(vocabulary.newline, page, row - 1, len(lines[row - 1]))
            answer.read(page, row, line)
    answer.after(vocabulary.end, page, row, len(contents[page][row]))
    text = "\n".join("\n".join(lines) for lines in contents)
    return _example(
        [list(one) for one in contents], question, answer, [NOWHERE] * len(question), text
    )


def _mentions(line: str, key: str) -> bool:
    return key in line


def _example(
    contents: Sequence[Lines], question: str, answer: _Answer, places: list[int], text: str
) -> Example:
    pages = tuple(tuple(lines) for lines in contents)
    return Example(pages, question, answer.ids, answer.places, places, text)
