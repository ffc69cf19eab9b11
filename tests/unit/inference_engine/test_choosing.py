"""Penalties, bias, cut-offs and log probabilities against transformers' own processors."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from transformers import (
    LogitsProcessor,
    LogitsProcessorList,
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    SequenceBiasLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from inference.engine.sampling import Logits, Shaper, choose, draw, measure, uniform
from inference.engine.values import Sampling

SIZE = 300
NO_IDS = torch.zeros((1, 0), dtype=torch.long)


def logits_of(seed: int) -> Logits:
    return np.random.default_rng(seed).normal(0, 2.5, SIZE).astype(np.float32)


def processed(logits: Logits, ids: torch.Tensor, *processors: LogitsProcessor) -> Logits:
    scores = LogitsProcessorList(processors)(ids, torch.from_numpy(logits)[None])
    found: Logits = scores[0].numpy()
    return found


def shaped_by_the_book(
    logits: Logits, sampling: Sampling, prompt: list[int], answer: list[int]
) -> Logits:
    """Bias, repetition by the library; frequency and presence token by token."""
    told: list[LogitsProcessor] = []
    if sampling.logit_bias:
        told.append(SequenceBiasLogitsProcessor({(i,): value for i, value in sampling.logit_bias}))
    told.append(RepetitionPenaltyLogitsProcessor(sampling.repetition_penalty))
    shaped = processed(logits, torch.tensor([prompt + answer]), *told).copy()
    for token, count in Counter(answer).items():
        shaped[token] -= sampling.frequency_penalty * count + sampling.presence_penalty
    return shaped


@pytest.mark.parametrize("seed", range(40))
def test_cut_offs_draw_as_the_librarys_do(seed: int) -> None:
    source = np.random.default_rng(seed)
    logits = logits_of(seed)
    sampling = Sampling(
        temperature=float(source.uniform(0.2, 2.0)),
        top_p=float(source.choice([1.0, source.uniform(0.05, 0.99)])),
        top_k=int(source.integers(1, SIZE + 50)) if source.random() < 0.5 else 0,
        min_p=float(source.choice([0.0, source.uniform(0.001, 0.9)])),
        seed=seed,
    )
    told: list[LogitsProcessor] = [TemperatureLogitsWarper(sampling.temperature)]
    if sampling.top_k:
        told.append(TopKLogitsWarper(sampling.top_k))
    if sampling.top_p < 1:
        told.append(TopPLogitsWarper(sampling.top_p))
    if sampling.min_p:
        told.append(MinPLogitsWarper(sampling.min_p))
    scores = processed(logits, NO_IDS, *told).astype(np.float64)
    shares = np.exp(scores - scores.max())
    totals = (shares / shares.sum()).cumsum()
    for index in range(200):
        wanted = int(np.searchsorted(totals, uniform(seed, index), side="right"))
        assert draw(logits, sampling, index) == wanted, (sampling, index)


@pytest.mark.parametrize("top_p", [0.3, 0.9, 0.999])
@pytest.mark.parametrize("width", [0.01, 3.0])
def test_a_large_vocabulary_is_cut_as_a_whole(top_p: float, width: float) -> None:
    """Flat and steep: with and without the likeliest thousand sufficing; some of them tied."""
    logits = np.random.default_rng(2).normal(0, width, 20_000).astype(np.float32)
    logits[100:9000:7] = logits[50]
    weights = np.exp(logits.astype(np.float64) - logits.max())
    ranked = np.argsort(-weights, kind="stable")
    totals = weights[ranked].cumsum() / weights.sum()
    kept = np.sort(ranked[: int(np.searchsorted(totals, top_p)) + 1])
    shares = weights[kept].cumsum()
    for index in range(50):
        place = np.searchsorted(shares, uniform(9, index) * shares[-1], side="right")
        assert draw(logits, Sampling(1.0, top_p, seed=9), index) == kept[place]


@pytest.mark.parametrize(
    "sampling",
    [
        Sampling(repetition_penalty=1.3),
        Sampling(repetition_penalty=0.7),
        Sampling(frequency_penalty=0.8),
        Sampling(presence_penalty=-1.5),
        Sampling(logit_bias=((3, 100.0), (17, -100.0), (250, 0.5))),
        Sampling(0.0, 1.0, 0, 0, 0.0, 1.2, 0.4, 0.3, ((5, -2.0), (9, 4.0))),
    ],
    ids=["repeated", "encouraged", "frequency", "presence", "bias", "all"],
)
def test_shaped_logits_are_the_librarys(sampling: Sampling) -> None:
    prompt = [3, 3, 7, 200]
    answer: list[int] = []
    growing = Shaper(sampling, prompt, [], SIZE)
    for step in range(25):
        logits = logits_of(step)
        untouched = logits.copy()
        expected = shaped_by_the_book(logits, sampling, prompt, answer)
        resumed = Shaper(sampling, prompt, answer, SIZE).shape(logits)
        assert np.array_equal(growing.shape(logits), resumed)
        assert np.abs(resumed - expected).max() <= 2e-5
        assert np.array_equal(logits, untouched)
        token = choose(resumed, sampling, step)
        growing.note(token)
        answer.append(token)
    assert sampling.shaped


def test_nothing_asked_is_nothing_shaped() -> None:
    assert not Sampling(0.7, 0.9, 5, 3, 0.1, top_logprobs=5).shaped


@pytest.mark.parametrize("count", [0, 1, 20, SIZE, SIZE + 9])
def test_log_probabilities_are_the_softmaxs(count: int) -> None:
    logits = logits_of(5)
    expected = torch.from_numpy(logits).double().log_softmax(-1)
    values, ids = expected.topk(min(count, SIZE))
    for token in (0, 17, int(logits.argmax())):
        told = measure(logits, token, count)
        assert told.token == pytest.approx(float(expected[token]), abs=1e-9)
        assert [number for number, _ in told.likeliest] == ids.tolist()
        found = [value for _, value in told.likeliest]
        assert found == pytest.approx(values.tolist(), abs=1e-9)


def test_ties_are_told_in_the_order_of_ids() -> None:
    told = measure(np.zeros(4, dtype=np.float32), 2, 4)
    assert [number for number, _ in told.likeliest] == [0, 1, 2, 3]
    assert [value for _, value in told.likeliest] == pytest.approx([-np.log(4)] * 4)


def test_the_impossible_has_a_number() -> None:
    logits = np.array([0.0, -np.inf], dtype=np.float32)
    told = measure(logits, 1, 2)
    assert (told.token, told.likeliest) == (-9999.0, ((0, 0.0), (1, -9999.0)))


def test_the_smallest_temperature_is_greedy() -> None:
    logits = logits_of(1)
    assert draw(logits, Sampling(temperature=5e-324), 0) == int(logits.argmax())
