"""Reading accuracy of a checkpoint, measured through renderer, chat template and engine.

Nothing of the training code touches the model here: pages come from `inference.render`, prompts
from the checkpoint's template, answers from the engine over its slots.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from inference.config import InferenceConfig, ProfileConfig
from inference.engine.runner import SlotEngine, load_engine
from inference.engine.tokenizer import ChatTokenizer, ImagePart, TextPart, Turn, load_tokenizer
from inference.engine.values import Prompt, Sampling
from inference.models.train.grid import PROFILE
from inference.models.train.tasks import Example, TaskMaker
from inference.models.train.vocabulary import Vocabulary
from inference.render import Pixels, render_pages, resolve_style

_UNIT_PX = 28
_PREFILL_TOKENS = 1024


@dataclass(frozen=True, slots=True)
class Question:
    """Pages, what is asked about them, and the right answer."""

    pages: tuple[Pixels, ...]
    question: str
    answer: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model said, and with how many tokens."""

    text: str
    tokens: int


class Reader:
    """A checkpoint that answers questions, several at a time."""

    def __init__(self, directory: Path, config: InferenceConfig) -> None:
        self._engine: SlotEngine = load_engine(directory, config)
        self._tokenizer: ChatTokenizer = load_tokenizer(directory)

    def answer(self, questions: Sequence[Question], most_tokens: int) -> list[Answer]:
        """The greedy answers, each of at most `most_tokens` tokens."""
        said = self.answer_ids(questions, most_tokens)
        return [Answer(self.text(ids), len(ids)) for ids in said]

    def answer_ids(self, questions: Sequence[Question], most_tokens: int) -> list[list[int]]:
        """The token ids of the answers, the end token included."""
        waiting = list(enumerate(questions))[::-1]
        running: dict[int, int] = {}
        ids: list[list[int]] = [[] for _ in questions]
        ends = self._engine.facts.end_ids
        while waiting or running:
            while waiting and len(running) < self._engine.facts.slots:
                number, question = waiting.pop()
                slot = min(set(range(self._engine.facts.slots)) - set(running))
                running[slot] = number
                ids[number].append(self._begin(slot, question))
                self._finish(slot, running, ids, ends, most_tokens)
            if running:
                for token in self._engine.decode(sorted(running)):
                    ids[running[token.slot]].append(token.token_id)
                for slot in sorted(running):
                    self._finish(slot, running, ids, ends, most_tokens)
        return ids

    def _begin(self, slot: int, question: Question) -> int:
        self._engine.open(slot, self._prompt(question), (), Sampling())
        for number, page in enumerate(question.pages):
            self._engine.see(slot, number, page)
        while True:
            token = self._engine.prefill(slot, _PREFILL_TOKENS)
            if token is not None:
                return token.token_id

    def _prompt(self, question: Question) -> Prompt:
        parts: list[TextPart | ImagePart] = [
            ImagePart(page.shape[0] // _UNIT_PX, page.shape[1] // _UNIT_PX)
            for page in question.pages
        ]
        if question.question or not parts:
            parts.append(TextPart(question.question))
        return self._tokenizer.encode_chat([Turn("user", tuple(parts))])

    def _finish(
        self,
        slot: int,
        running: dict[int, int],
        ids: list[list[int]],
        ends: frozenset[int],
        most_tokens: int,
    ) -> None:
        said = ids[running[slot]]
        if said[-1] in ends or len(said) >= most_tokens:
            self._engine.close(slot)
            del running[slot]

    def text(self, ids: Sequence[int]) -> str:
        """What token ids say to the user."""
        return b"".join(self._tokenizer.piece(number) for number in ids).decode("utf-8", "replace")


def questions_of(examples: Sequence[Example], profile: ProfileConfig = PROFILE) -> list[Question]:
    """The examples with their pages drawn by the renderer."""
    style = resolve_style(profile)
    return [
        Question(
            tuple(
                page.pixels
                for lines in example.pages
                for page in render_pages("\n".join(lines), style)
            ),
            example.question,
            example.text,
        )
        for example in examples
    ]


def character_errors(said: str, wanted: str) -> int:
    """Levenshtein distance: insertions, deletions and substitutions."""
    before = list(range(len(said) + 1))
    for row, wanted_character in enumerate(wanted):
        now = [row + 1]
        for column, character in enumerate(said):
            change = before[column] + (wanted_character != character)
            now.append(min(change, before[column + 1] + 1, now[column] + 1))
        before = now
    return before[-1]


@dataclass(frozen=True, slots=True)
class Accuracy:
    """What was measured on a set of questions."""

    character_error_rate: float
    exact: float
    """Share of answers without any error."""
    characters: int
    tokens: int


def measure(reader: Reader, questions: Sequence[Question], most_tokens: int = 2048) -> Accuracy:
    """Ask all questions and compare the answers."""
    answers = reader.answer(questions, most_tokens)
    errors = [
        character_errors(answer.text, question.answer)
        for answer, question in zip(answers, questions, strict=True)
    ]
    characters = sum(len(question.answer) for question in questions)
    return Accuracy(
        character_error_rate=sum(errors) / max(1, characters),
        exact=sum(error == 0 for error in errors) / max(1, len(errors)),
        characters=characters,
        tokens=sum(answer.tokens for answer in answers),
    )


def held_out(seed: str, kind: str, count: int, lines: int, pages: int = 1) -> list[Example]:
    """Examples no training run sees: their seeds begin with `held-out`.

    `kind` is transcription, value, holder, line or refusal.
    """
    maker = TaskMaker(Vocabulary(), Random(f"held-out-{seed}-{kind}-{lines}-{pages}"))
    makers = {
        "transcription": maker.transcription,
        "value": maker.value,
        "holder": maker.holder,
        "line": maker.line,
    }
    if kind == "refusal":
        return [maker.refusal() for _ in range(count)]
    return [makers[kind](lines, pages) for _ in range(count)]


def described(accuracy: Accuracy) -> str:
    """One line for people."""
    return json.dumps(
        {
            "cer": round(accuracy.character_error_rate, 5),
            "exact": round(accuracy.exact, 3),
            "characters": accuracy.characters,
        }
    )
