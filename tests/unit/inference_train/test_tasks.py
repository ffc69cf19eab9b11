"""Examples say what stands on their pages, and point at it."""

from dataclasses import replace
from random import Random

import numpy as np
import pytest

from inference.models.train.batch import example_length, make_batch, make_cells
from inference.models.train.curriculum import LINES, Curriculum, Plan, Progress
from inference.models.train.grid import ALPHABET, TOKENS_PER_PAGE, page_codes
from inference.models.train.tasks import NOT_FOUND, NOWHERE, Example, TaskMaker
from inference.models.train.text import Writer, wrap
from inference.models.train.vocabulary import Vocabulary

VOCABULARY = Vocabulary()
MAKERS = ("transcription", "value", "holder", "line")


def spoken(ids: list[int]) -> str:
    return str(VOCABULARY.tokenizer.decode(ids, skip_special_tokens=True))


def examples(kind: str, count: int = 40, lines: int = 8, pages: int = 2) -> list[Example]:
    maker = TaskMaker(VOCABULARY, Random(f"test-{kind}"))
    return [getattr(maker, kind)(lines, pages) for _ in range(count)]


@pytest.mark.parametrize("kind", MAKERS)
def test_answers_decode_to_their_text(kind: str) -> None:
    for example in examples(kind):
        assert spoken(example.answer) == example.text
        assert example.answer[-1] == VOCABULARY.end
        assert len(example.places) == len(example.answer)
        assert len(example.question_places) == len(example.question)


def test_characters_point_at_the_visual_token_that_shows_them() -> None:
    for example in examples("transcription", count=10):
        cells = make_cells(example.pages).codes.flatten(0, 1)
        pointed = 0
        for token, place in zip(example.answer, example.places, strict=True):
            text = spoken([token])
            if place != NOWHERE and text.strip():
                assert text in {ALPHABET[code] for code in cells[place]}
                pointed += 1
        assert pointed == sum(len(text.replace(" ", "")) for page in example.pages for text in page)


def test_values_and_words_are_where_the_answer_says() -> None:
    for example in examples("value"):
        key = example.question.removeprefix("What is the value of ").removesuffix("?")
        lines = [line for page in example.pages for line in page if key in line]
        assert len(lines) == (0 if example.text == NOT_FOUND else 1)
        assert all(line.startswith(key) and line.endswith(example.text) for line in lines)
    for example in examples("holder", pages=1):
        word = example.question.removeprefix("Which line holds ").removesuffix("?")
        found = [number for number, line in enumerate(example.pages[0], 1) if word in line]
        assert found == ([] if example.text == NOT_FOUND else [int(example.text)])


def test_shortening_leaves_out_only_empty_rows() -> None:
    found = [*examples("transcription", count=3, lines=3), *examples("value", count=3, lines=3)]
    whole, short = make_batch(found, VOCABULARY), make_batch(found, VOCABULARY, shorten=True)
    assert short.visual.sum() == short.kept.sum() < whole.visual.sum() == whole.kept.sum()
    for row, example in enumerate(found):
        long_length, short_length = example_length(example, False), example_length(example, True)
        assert long_length - short_length == int(whole.visual[row].sum() - short.visual[row].sum())
        text = ~whole.visual[row, :long_length]
        for name in ("ids", "targets"):
            kept = getattr(short, name)[row, :short_length][~short.visual[row, :short_length]]
            assert kept.equal(getattr(whole, name)[row, :long_length][text])
        for name in ("places", "matches"):
            before, after = getattr(whole, name)[row], getattr(short, name)[row]
            before, after = before[before >= 0], after[after >= 0]
            assert whole.positions[:, row, before].equal(short.positions[:, row, after])


def test_windows_keep_positions_targets_and_what_is_looked_at() -> None:
    maker = TaskMaker(VOCABULARY, Random(9))
    found = [maker.window(20, 60) for _ in range(12)]
    batch = make_batch(found, VOCABULARY)
    whole = make_batch([replace(example, window=None) for example in found], VOCABULARY)
    assert int(batch.visual.sum()) == int(batch.kept.sum()) < int(whole.visual.sum()) / 2
    for row, example in enumerate(found):
        length = example_length(example, False)
        targets = {
            int(p): int(t) for p, t in zip(whole.positions[0, row], whole.targets[row], strict=True)
        }
        text = ~batch.visual[row, :length]
        positions = batch.positions[0, row, :length][text].tolist()
        assert [targets[p] for p in positions] == batch.targets[row, :length][text].tolist()
        looked_at = batch.places[row][batch.places[row] >= 0]
        assert batch.visual[row][looked_at].all()


def test_the_prompt_ends_where_the_first_token_is_predicted() -> None:
    example = examples("line", count=1, pages=1)[0]
    batch = make_batch([example], VOCABULARY)
    wanted = batch.targets[0]
    first = int((wanted >= 0).nonzero()[0])
    assert wanted[first:][wanted[first:] >= 0].tolist() == example.answer
    assert batch.ids[0, first + 1 : first + 1 + len(example.answer)].tolist() == example.answer
    assert int(batch.visual.sum()) == TOKENS_PER_PAGE


def test_writers_fill_the_grid_and_nothing_else() -> None:
    writer = Writer(Random(3))
    used: set[str] = set()
    for _ in range(200):
        lines = writer.lines(20)
        assert len(lines) == 20
        assert lines[0]
        assert lines[-1]
        assert not any(line != line.rstrip() for line in lines)
        page_codes(lines)
        used |= set("".join(lines))
    assert used == set(ALPHABET)


def test_wrapping_keeps_the_words() -> None:
    text = "a bc " + "long" * 20 + " end of it"
    lines = wrap(text, 16)
    assert max(map(len, lines)) == 16
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")


def test_a_step_depends_on_seed_and_number_alone() -> None:
    one, same, other = (Curriculum(VOCABULARY, seed, 4096) for seed in (1, 1, 2))
    at = Progress(step=17, level=1)
    assert one.examples(at) == same.examples(at)
    assert one.examples(at) != other.examples(at)
    assert one.examples(at) != one.examples(Progress(step=18, level=1))


def test_batches_keep_to_their_tokens() -> None:
    curriculum = Curriculum(VOCABULARY, 0, 3000)
    for step in range(30):
        plan, found = curriculum.examples(Progress(step=step, level=len(LINES) - 1))
        longest = max(example_length(example, plan.shorten) for example in found)
        assert len(found) == 1 or longest * len(found) <= 3000


def test_pages_grow_only_when_they_are_read() -> None:
    progress = Progress()
    for _ in range(500):
        progress.record(Plan(0, False, True), 0.9)
    assert progress.level == 0
    for _ in range(500):
        progress.record(Plan(progress.level, False, True), 1.0)
    assert progress.level == len(LINES) - 1
    assert np.isclose(progress.looked_up, 0)
