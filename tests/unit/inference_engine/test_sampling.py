from __future__ import annotations

import numpy as np
import pytest

from inference.engine.sampling import draw, uniform
from inference.engine.values import Sampling

LOGITS = np.array([1.0, 3.0, 2.0, -1.0, 2.5, 0.0], dtype=np.float32)


def draws(sampling: Sampling, count: int = 4000) -> np.ndarray:
    return np.array([draw(LOGITS, sampling, index) for index in range(count)])


def test_uniform_depends_on_seed_and_index_only() -> None:
    numbers = [uniform(7, index) for index in range(2000)]
    assert numbers == [uniform(7, index) for index in range(2000)]
    assert numbers != [uniform(8, index) for index in range(2000)]
    assert all(0 <= number < 1 for number in numbers)
    assert abs(np.mean(numbers) - 0.5) < 0.03
    assert abs(np.std(numbers) - 12**-0.5) < 0.03


@pytest.mark.parametrize("seed", [0, -1, 2**63, 2**64 - 1, -(2**70), 10**30])
def test_any_whole_number_is_a_seed(seed: int) -> None:
    assert 0 <= uniform(seed, 3) < 1


def test_frequencies_follow_the_softmax() -> None:
    weights = np.exp(LOGITS.astype(np.float64) / 0.7)
    counts = np.bincount(draws(Sampling(temperature=0.7, seed=1)), minlength=6) / 4000
    assert np.abs(counts - weights / weights.sum()).max() < 0.03


def test_top_k_leaves_the_k_likeliest() -> None:
    assert set(draws(Sampling(temperature=1.0, top_k=3))) == {1, 2, 4}


def test_top_k_beyond_the_vocabulary_leaves_all() -> None:
    assert np.array_equal(
        draws(Sampling(temperature=1.0, top_k=100)), draws(Sampling(temperature=1.0))
    )


def test_top_p_leaves_the_smallest_sufficient_set() -> None:
    weights = np.exp(LOGITS.astype(np.float64))
    share = np.sort(weights / weights.sum())[::-1].cumsum()
    assert set(draws(Sampling(temperature=1.0, top_p=float(share[1]) - 1e-6))) == {1, 4}
    assert set(draws(Sampling(temperature=1.0, top_p=float(share[1]) + 1e-6))) == {1, 2, 4}


def test_tiny_top_p_is_greedy() -> None:
    assert set(draws(Sampling(temperature=2.0, top_p=1e-9), 50)) == {1}


def test_small_temperature_does_not_overflow() -> None:
    assert set(draws(Sampling(temperature=1e-4), 50)) == {1}


def test_rounding_differences_do_not_change_the_draw() -> None:
    """Logits of two batch shapes differ by about 1e-6; near ties must not reorder the walk."""
    source = np.random.default_rng(0)
    logits = source.normal(0, 0.01, 5000).astype(np.float32)
    noisy = logits + source.normal(0, 1e-6, 5000).astype(np.float32)
    sampling = Sampling(temperature=1.0, seed=5)
    changed = sum(draw(logits, sampling, i) != draw(noisy, sampling, i) for i in range(1000))
    assert changed <= 1
