"""Penalties, bias and log probabilities in the engine: generate()'s, alone, in company, resumed."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from inference.engine.values import Logprobs, Prompt, Sampling
from tests.unit.inference_engine.oracle import Solo, engine, loaded, oracle, pages, prompt

COUNT = 30
BIAS = ((40, 3.0), (300, -100.0))
GREEDY = Sampling(repetition_penalty=1.3, frequency_penalty=0.7, logit_bias=BIAS, top_logprobs=5)
SEEDED = Sampling(1.1, 0.95, 60, 11, 0.01, 1.2, 0.5, 0.4, BIAS, 3)


def whole_answer(
    asked: Prompt, pictures: list[np.ndarray], sampling: Sampling, count: int = COUNT
) -> tuple[list[int], list[Logprobs | None]]:
    solo = Solo(engine())
    answer = solo.answer(count, asked, pictures, sampling)
    return answer, solo.logprobs[0]


def same(left: list[Logprobs | None], right: list[Logprobs | None]) -> bool:
    """The same tokens in the same order, values equal but for rounding."""
    for one, other in zip(left, right, strict=True):
        assert one is not None
        assert other is not None
        if [token for token, _ in one.likeliest] != [token for token, _ in other.likeliest]:
            return False
        ours = [one.token, *(value for _, value in one.likeliest)]
        theirs = [other.token, *(value for _, value in other.likeliest)]
        if np.abs(np.array(ours) - np.array(theirs)).max() > 1e-4:
            return False
    return True


@pytest.mark.parametrize("with_pages", [False, True])
def test_repetition_penalty_and_bias_are_generates(with_pages: bool) -> None:
    pictures = pages((56, 84)) if with_pages else []
    asked = prompt("the quick brown fox", pictures)
    sampling = Sampling(repetition_penalty=1.4, logit_bias=BIAS)
    answer, _ = whole_answer(asked, pictures, sampling)
    bias = [[[number], value] for number, value in BIAS]
    assert answer == oracle(asked, pictures, COUNT, repetition_penalty=1.4, sequence_bias=bias)
    assert answer != oracle(asked, pictures, COUNT)


def test_log_probabilities_are_the_models_own() -> None:
    """Of each token drawn with penalties and temperature: the plain softmax of one forward pass."""
    asked = prompt("how likely is it?")
    answer, told = whole_answer(asked, [], SEEDED)
    ids = torch.tensor([[*asked.token_ids, *answer]])
    with torch.inference_mode():
        logits = loaded().model(input_ids=ids).logits[0, len(asked.token_ids) - 1 : -1]
    expected = logits.double().log_softmax(-1)
    for place, token in enumerate(answer):
        one = told[place]
        assert one is not None
        assert one.token == pytest.approx(float(expected[place, token]), abs=1e-4)
        values = [value for _, value in one.likeliest]
        assert values == pytest.approx(expected[place].topk(3).values.tolist(), abs=1e-4)


@pytest.mark.parametrize("sampling", [GREEDY, SEEDED], ids=["greedy", "seeded"])
def test_resuming_at_every_token_changes_nothing(sampling: Sampling) -> None:
    pictures = pages((84, 112))
    asked = prompt("and what comes next?", pictures)
    whole, told = whole_answer(asked, pictures, sampling)
    for taken in range(1, COUNT):
        again = Solo(engine())
        rest = again.answer(
            COUNT - taken, asked, pictures, sampling, emitted=whole[:taken], chunk=33
        )
        assert whole[:taken] + rest == whole, taken
        assert same(told[taken:], again.logprobs[0]), taken


def test_company_changes_nothing() -> None:
    """Four requests with different wishes, each begun one step after the other."""
    wishes = [GREEDY, Sampling(), SEEDED, Sampling(0.8, min_p=0.05, seed=4, presence_penalty=1.0)]
    asked = [prompt(f"question {number} " * (number + 1)) for number in range(4)]
    alone = [whole_answer(asked[number], [], wish) for number, wish in enumerate(wishes)]
    together = Solo(engine())
    for slot in range(4):
        together.begin(slot, asked[slot], [], wishes[slot])
        together.step(*range(slot + 1))
    while len(together.answers[3]) < COUNT:
        together.step(*range(4))
    for slot, (answer, told) in enumerate(alone):
        measured = together.logprobs[slot][:COUNT]
        assert together.end(slot)[:COUNT] == answer, slot
        if wishes[slot].top_logprobs is None:
            assert measured == [None] * COUNT
        else:
            assert same(told, measured)


def test_a_slot_forgets_the_penalties_of_its_last_request() -> None:
    asked = prompt("a short one")
    solo = Solo(engine())
    plain = solo.answer(COUNT, asked)
    assert solo.answer(COUNT, asked, [], GREEDY) != plain
    assert solo.answer(COUNT, asked) == plain


def test_a_banned_token_is_still_told_as_the_likeliest() -> None:
    asked = prompt("numbers")
    banned = whole_answer(asked, [], Sampling())[0][0]
    other, told = whole_answer(asked, [], Sampling(logit_bias=((banned, -100.0),), top_logprobs=1))
    assert banned not in other
    assert told[0] is not None
    assert told[0].likeliest[0][0] == banned
