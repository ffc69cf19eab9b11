"""The slot engine against `generate()`: token for token, alone, in company and resumed."""

from __future__ import annotations

import gc

import numpy as np
import pytest
import torch

from inference.engine.runner import SlotEngine
from inference.engine.values import EngineError, OutOfMemoryError, Prompt, Sampling
from tests.unit.inference_engine.oracle import (
    LENGTH,
    Solo,
    differs,
    engine,
    loaded,
    oracle,
    pages,
    prompt,
)
from tests.unit.inference_engine.tiny import SPECIAL

COUNT = 40
SEEDED = Sampling(temperature=0.9, top_p=0.95, top_k=40, seed=11)


@pytest.mark.parametrize("kind", ["glm4v", "glm46v"])
@pytest.mark.parametrize("chunk", [10_000, 16, 7])
def test_text_is_generates(kind: str, chunk: int) -> None:
    asked = prompt("the quick brown fox jumps over the lazy dog")
    assert Solo(engine(kind)).answer(COUNT, asked, chunk=chunk) == oracle(asked, [], COUNT, kind)


@pytest.mark.parametrize("kind", ["glm4v", "glm46v"])
@pytest.mark.parametrize("chunk", [10_000, 16, 7])
def test_pages_are_generates(kind: str, chunk: int) -> None:
    pictures = pages((112, 140), (168, 112), (28, 28))
    asked = prompt("what does it say?", pictures)
    expected = oracle(asked, pictures, COUNT, kind)
    assert Solo(engine(kind)).answer(COUNT, asked, pictures, chunk=chunk) == expected
    assert expected != oracle(asked, pages((112, 140), (168, 112), (28, 28), seed=9), COUNT, kind)


def test_joining_and_leaving_changes_nothing() -> None:
    """Twelve requests over four slots, each begun and ended at another step."""
    requests = []
    for number in range(12):
        pictures = pages((56 + 28 * (number % 3), 84), seed=number) if number % 2 else []
        asked = prompt(f"question {number} " * (1 + number % 4), pictures)
        sampling = SEEDED if number % 3 == 2 else Sampling()
        requests.append((asked, pictures, sampling, 12 + 5 * (number % 5)))
    alone = [Solo(engine()).answer(count, a, p, s) for a, p, s, count in requests]
    for (asked, pictures, sampling, count), answer in zip(requests, alone, strict=True):
        if sampling.temperature == 0:
            assert answer == oracle(asked, pictures, count)

    together = Solo(engine())
    waiting = list(range(12))
    running: dict[int, int] = {}
    while waiting or running:
        for slot in range(4):
            if slot not in running and waiting and len(together.answers) <= 3:
                number = waiting.pop(0)
                asked, pictures, sampling, _ = requests[number]
                together.begin(slot, asked, pictures, sampling, chunk=16)
                running[slot] = number
                break  # one at a time: the others are in the midst of their answers
        together.step(*running)
        for slot, number in list(running.items()):
            if len(together.answers[slot]) == requests[number][3]:
                del running[slot]
                assert together.end(slot) == alone[number], f"request {number}"


@pytest.mark.parametrize("sampling", [Sampling(), SEEDED], ids=["greedy", "seeded"])
def test_resuming_at_every_token_changes_nothing(sampling: Sampling) -> None:
    pictures = pages((84, 112))
    asked = prompt("and what comes next?", pictures)
    solo = Solo(engine())
    solo.begin(0, asked, pictures, sampling)
    for _ in range(COUNT - 1):
        solo.step(0)
    margins = list(solo.margins[0])
    whole = solo.end(0)
    ties = 0
    for taken in range(1, COUNT):
        rest = solo.answer(
            COUNT - taken, asked, pictures, sampling, emitted=whole[:taken], chunk=33
        )
        resumed = whole[:taken] + rest
        ties += resumed != whole
        assert not differs(whole, resumed, margins), f"resumed after {taken} tokens"
    assert ties == 0


def test_an_emitted_image_token_is_only_a_token() -> None:
    """Its id in the answer must neither ask for an image nor move positions."""
    pictures = pages((56, 84))
    asked = prompt("tell me", pictures)
    image = SPECIAL.index("<|image|>")
    solo = Solo(engine())
    solo.begin(0, asked, pictures)
    solo.engine._open[0].last = image  # as if the model had drawn it
    solo.step(0)
    solo.step(0)
    continued = solo.end(0)[1:]
    resumed = solo.answer(2, asked, pictures, emitted=[image])
    assert resumed == continued


def test_slots_do_not_see_what_was_there_before() -> None:
    asked = prompt("a short one")
    fresh = Solo(engine()).answer(COUNT, asked)
    used = Solo(engine())
    used.answer(COUNT, prompt("something long " * 12, []))
    used.engine._cache.layers[0].values[0].fill_(3.0)
    assert used.answer(COUNT, asked) == fresh


def test_what_is_not_a_number_stays_in_its_slot() -> None:
    asked = prompt("healthy")
    expected = Solo(engine()).answer(20, asked)
    both = Solo(engine())
    both.begin(0, asked)
    both.begin(1, asked)
    for layer in both.engine._cache.layers:
        layer.values[1, :, :3] = float("nan")
    for _ in range(19):
        healthy, poisoned = both.engine.decode([0, 1])
        both.answers[0].append(healthy.token_id)
        assert healthy.valid
        assert not poisoned.valid
    assert both.end(0) == expected
    both.engine.close(1)
    both.begin(1, asked)
    for _ in range(19):
        both.step(1)
    assert both.end(1) == expected


def test_a_full_slot_is_refused_and_the_last_token_fits() -> None:
    asked = Prompt(tuple(20 + number % 400 for number in range(LENGTH - 2)))
    solo = Solo(engine())
    solo.begin(0, asked)
    solo.step(0)
    solo.step(0)
    with pytest.raises(EngineError, match="full"):
        solo.engine.decode([0])


def test_an_occupied_slot_is_refused() -> None:
    one = engine()
    one.open(2, prompt("x"), [], Sampling())
    with pytest.raises(EngineError, match="in use"):
        one.open(2, prompt("y"), [], Sampling())


def test_a_page_of_the_wrong_size_hurts_only_its_request() -> None:
    solo = Solo(engine())
    asked = prompt("hello")
    expected = solo.answer(5, asked)
    solo.engine.open(1, prompt("see", pages((56, 56))), [], Sampling())
    with pytest.raises(EngineError, match="tokens"):
        solo.engine.see(1, 0, pages((84, 56))[0])
    assert solo.answer(5, asked) == expected


def test_running_out_of_memory_has_its_own_name_and_frees(monkeypatch: pytest.MonkeyPatch) -> None:
    one = engine()
    one.open(0, prompt("hello"), [], Sampling())

    def greedy(**_: object) -> None:
        ballast = torch.zeros(1000)
        raise torch.OutOfMemoryError(f"wanted {len(ballast)} more")

    with monkeypatch.context() as patch:
        patch.setattr(one, "_language", _Language(one, greedy))
        with pytest.raises(OutOfMemoryError) as raised:
            one.prefill(0, 100)
    assert raised.value.__context__ is None  # nothing keeps the tensors of the failed call alive
    one.reclaim()
    gc.collect()
    assert one.prefill(0, 100) is not None


def test_a_failed_allocation_of_the_cpu_is_out_of_memory() -> None:
    one = engine()
    one.open(0, prompt("x", pages((56, 56))), [], Sampling())
    with pytest.raises(OutOfMemoryError):
        one.see(0, 0, np.broadcast_to(np.uint8(0), (28 * 10**6, 28 * 10**4, 3)))


class _Language:
    """The language model with another forward."""

    def __init__(self, one: SlotEngine, forward: object) -> None:
        self.embed_tokens = one._language.embed_tokens
        self._forward = forward

    def __call__(self, **kwargs: object) -> object:
        return self._forward(**kwargs)  # type: ignore[operator]


def test_memory_is_counted() -> None:
    use = engine().memory()
    assert use.gpu_bytes is None
    assert use.counters["kv_bytes"] == 2 * 2 * 4 * 2 * (LENGTH + 1) * 16 * 4
    assert use.counters["weight_bytes"] >= sum(
        p.nbytes for p in loaded().model.lm_head.parameters()
    )


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_half_precision_answers(precision: str) -> None:
    from dataclasses import replace

    from inference.engine.runner import load_engine
    from tests.unit.inference_engine.oracle import config
    from tests.unit.inference_engine.tiny import checkpoint

    small = load_engine(checkpoint(), replace(config(), precision=precision))  # type: ignore[arg-type]
    pictures = pages((56, 84))
    small.open(0, prompt("hello", pictures), [], Sampling())
    small.see(0, 0, pictures[0])
    token = small.prefill(0, 1000)
    assert token is not None
    assert token.valid
    assert all(token.valid for _ in range(5) for token in small.decode([0]))
