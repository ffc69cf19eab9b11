"""What is trained on when: pages grow only as fast as they are read."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

from inference.models.train.batch import example_length
from inference.models.train.grid import ROWS
from inference.models.train.tasks import Example, TaskMaker
from inference.models.train.text import Writer
from inference.models.train.vocabulary import Vocabulary

LINES = (2, 5, 10, ROWS)
"""Most lines on a page, level by level."""
_PROMOTE_AT = 0.93
_PROMOTE_AFTER_STEPS = 60
_SMOOTHING = 0.95
_TOP_LEVEL_SHARE = 0.7
_SEVERAL_PAGES_SHARE = 0.12
_SHORTEN_SHARE = 0.85
_WINDOW_SHARE, _WINDOW_TOKENS = 0.25, 100
_LOOKUP_SHARE = 0.3
_LARGEST_BATCH = 24


@dataclass(slots=True)
class Progress:
    """How far the reader has come; what a resumed run goes on from."""

    step: int = 0
    level: int = 0
    level_since: int = 0
    read: list[float] = field(default_factory=lambda: [0.0] * len(LINES))
    """Smoothed share of right tokens in transcriptions, per level."""
    looked_up: float = 0.0
    """Smoothed share of right tokens in look-ups."""
    in_windows: float = 0.0
    """Smoothed share of right tokens in parts of full pages."""

    def record(self, plan: Plan, tokens: float) -> None:
        """Take note of a step, and go up a level when this one is mastered."""
        self.step += 1
        if plan.windows:
            self.in_windows = _smooth(self.in_windows, tokens)
            return
        if plan.lookups:
            self.looked_up = _smooth(self.looked_up, tokens)
            return
        self.read[plan.level] = _smooth(self.read[plan.level], tokens)
        settled = self.step - self.level_since >= _PROMOTE_AFTER_STEPS
        mastered = self.read[self.level] >= _PROMOTE_AT
        if settled and mastered and self.level + 1 < len(LINES):
            self.level += 1
            self.level_since = self.step
            self.read[self.level] = tokens


@dataclass(frozen=True, slots=True)
class Plan:
    """What one step trains on."""

    level: int
    lookups: bool
    shorten: bool
    """Leave out empty rows below the text."""
    windows: bool = False
    """Parts of the transcriptions of full pages."""


class Curriculum:
    """Chooses examples; a step's examples depend on seed and step alone."""

    def __init__(self, vocabulary: Vocabulary, seed: int, batch_tokens: int) -> None:
        self._vocabulary = vocabulary
        self._seed = seed
        self._batch_tokens = batch_tokens

    def pages(self, step: int, count: int) -> list[list[str]]:
        """Pages for training the vision tower alone."""
        random = Random(f"{self._seed}-pages-{step}")
        writer = Writer(random)
        return [writer.lines(random.randint(1, ROWS)) for _ in range(count)]

    def examples(self, progress: Progress) -> tuple[Plan, list[Example]]:
        """The next batch, of similar lengths and at most so many tokens."""
        random = Random(f"{self._seed}-{progress.step}")
        maker = TaskMaker(self._vocabulary, random)
        top = random.random() < _TOP_LEVEL_SHARE
        level = progress.level if top else random.randint(0, progress.level)
        shorten = random.random() < _SHORTEN_SHARE
        lookups = random.random() < _LOOKUP_SHARE
        windows = not lookups and progress.level > 0 and random.random() < _WINDOW_SHARE
        plan = Plan(level, lookups, shorten, windows)
        several = progress.level > 1 and random.random() < _SEVERAL_PAGES_SHARE
        pages = random.randint(2, 3) if several else 1
        found: list[Example] = []
        longest = 0
        while len(found) < _LARGEST_BATCH:
            example = _example(maker, random, plan, pages)
            longest = max(longest, example_length(example, shorten))
            if found and longest * (len(found) + 1) > self._batch_tokens:
                break
            found.append(example)
        return plan, found


def _example(maker: TaskMaker, random: Random, plan: Plan, pages: int) -> Example:
    lines = LINES[plan.level]
    if plan.windows:
        return maker.window(ROWS, _WINDOW_TOKENS)
    if plan.lookups:
        return _lookup(maker, random, lines, pages)
    return maker.transcription(max(1, lines // pages), pages)


def _lookup(maker: TaskMaker, random: Random, lines: int, pages: int) -> Example:
    draw = random.random()
    if draw < 0.45:
        return maker.value(lines, pages)
    if draw < 0.75:
        return maker.holder(lines, pages)
    if draw < 0.93:
        return maker.line(lines, pages)
    return maker.refusal()


def _smooth(before: float, now: float) -> float:
    return _SMOOTHING * before + (1 - _SMOOTHING) * now
