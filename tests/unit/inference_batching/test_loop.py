"""The engine thread with an engine that does as told: life, faults, cancellation, progress."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from inference.batching.loop import EngineThread, Settings
from inference.batching.progress import Phase, ProgressFile
from inference.engine.values import (
    DeviceLostError,
    EngineError,
    ImagePlace,
    ModelError,
    OutOfMemoryError,
)
from tests.unit.inference_batching.fakes import FakeEngine, FakeOffice, Fault, expected, job


class Bench:
    """A running loop."""

    def __init__(self, engine: FakeEngine, waiting: int = 8, budget: int = 64) -> None:
        self.engine = engine
        self.office = FakeOffice()
        self.progress = ProgressFile(None, "0" * 32)
        settings = Settings(waiting, budget)
        self.loop = EngineThread(lambda: engine, self.office, self.progress, settings)
        self.loop.start()
        self.office.wait(lambda: self.office.engine is not None)

    def finish(self, *names: str) -> None:
        self.office.wait(lambda: all(self.office.ended(name) for name in names))


def raising(error: Exception, call: str, *numbers: int) -> Fault:
    def fault(name: str, number: int) -> None:
        if name == call and number in numbers:
            raise error

    return fault


def test_an_answer_comes_token_by_token() -> None:
    bench = Bench(FakeEngine())
    asked = job("a", max_new_tokens=5)
    bench.loop.submit(asked)
    bench.finish("a")
    steps = bench.office.steps("a")
    assert bench.office.admitted("a")
    assert bench.office.tokens("a") == expected(asked.generation.prompt, 5)
    assert [step.index for step in steps] == [0, 1, 2, 3, 4]
    assert [step.finish_reason for step in steps] == [None] * 4 + ["length"]
    assert [step.text_bytes for step in steps] == [1, 2, 3, 4, 5]


def test_many_share_few_slots_and_all_get_their_own_answer() -> None:
    bench = Bench(FakeEngine(slots=3), waiting=32)
    jobs = [job(f"r{n}", range(1, 3 + n), max_new_tokens=3 + n % 5) for n in range(20)]
    prompts = {each.id: (each.generation.prompt, each.generation.max_new_tokens) for each in jobs}
    for each in jobs:
        bench.loop.submit(each)
    bench.finish(*prompts)
    for name, (prompt, count) in prompts.items():
        assert bench.office.tokens(name) == expected(prompt, count)
    assert max(len(slots) for call, slots in bench.engine.calls if call == "decode") == 3  # type: ignore[arg-type]


def test_a_resumed_answer_goes_on_at_its_index() -> None:
    bench = Bench(FakeEngine())
    whole = expected(job("x").generation.prompt, 6)
    resumed = job("a", max_new_tokens=6, emitted=whole[:4])
    resumed.unsent = "late"
    bench.loop.submit(resumed)
    bench.finish("a")
    steps = bench.office.steps("a")
    assert bench.office.tokens("a") == whole[4:]
    assert [step.index for step in steps] == [4, 5]
    assert steps[0].text.startswith("late")
    assert steps[-1].text_bytes == 6


def test_a_cancelled_request_frees_its_slot_at_once() -> None:
    bench = Bench(FakeEngine(slots=1, length=10**6))
    bench.loop.submit(job("endless", max_new_tokens=10**6))
    bench.loop.submit(job("next"))
    bench.office.wait(lambda: len(bench.office.steps("endless")) > 3)
    assert not bench.office.admitted("next")
    bench.loop.cancel("endless")
    bench.finish("next")
    assert ("close", 0) in bench.engine.calls


def test_cancelling_who_waits_or_is_unknown() -> None:
    bench = Bench(FakeEngine(slots=1))
    bench.loop.submit(job("a", max_new_tokens=100))
    bench.loop.submit(job("b"))
    bench.loop.cancel("b")
    bench.loop.cancel("nobody")
    bench.finish("a")
    bench.loop.submit(job("c"))
    bench.finish("c")
    assert not bench.office.admitted("b")


def test_too_many_waiting_are_refused() -> None:
    gate = threading.Event()

    def fault(name: str, _: int) -> None:
        if name == "prefill":
            gate.wait(30)

    bench = Bench(FakeEngine(slots=1, fault=fault), waiting=1)
    bench.loop.submit(job("a"))
    bench.office.wait(lambda: bench.office.admitted("a"))
    for name in "bc":
        bench.loop.submit(job(name))
    gate.set()
    bench.finish("a", "b", "c")
    failure = bench.office.failure("c")
    assert failure is not None
    assert failure.error.code == "queue_full"


@pytest.mark.parametrize("call", ["open", "see", "prefill"])
def test_one_request_that_cannot_be_computed_hurts_no_other(call: str) -> None:
    bench = Bench(FakeEngine(slots=2, fault=raising(EngineError("bad"), call, 1)), budget=4)
    images = [ImagePlace(0, 1, 1)]
    names = [f"r{number}" for number in range(4)]
    for name in names:
        bench.loop.submit(job(name, images=images))
    bench.finish(*names)
    failed = [name for name in names if bench.office.failure(name)]
    assert len(failed) == 1
    assert bench.office.failure(failed[0]).error.code == "engine_error"  # type: ignore[union-attr]
    assert bench.office.error is None
    assert bench.engine.memory().counters["open_slots"] == 0


def test_an_output_that_is_not_a_number_ends_its_request_only() -> None:
    engine = FakeEngine(slots=2, invalid={1})
    bench = Bench(engine)
    bench.loop.submit(job("a", max_new_tokens=50))
    bench.loop.submit(job("b", max_new_tokens=50))
    bench.finish("a", "b")
    assert bench.office.failure("a") is None
    assert bench.office.failure("b") is not None


@pytest.mark.parametrize("call", ["see", "prefill", "decode"])
def test_out_of_memory_is_tried_again_once(call: str) -> None:
    bench = Bench(FakeEngine(fault=raising(OutOfMemoryError("much"), call, 0)))
    asked = job("a", images=[ImagePlace(0, 1, 1)])
    bench.loop.submit(asked)
    bench.finish("a")
    assert bench.office.tokens("a") == expected(asked.generation.prompt, 4)
    assert ("reclaim", None) in bench.engine.calls


def test_out_of_memory_twice_ends_the_request() -> None:
    bench = Bench(FakeEngine(fault=raising(OutOfMemoryError("much"), "prefill", 0, 1)))
    bench.loop.submit(job("a"))
    bench.loop.submit(job("b"))
    bench.finish("a", "b")
    assert bench.office.failure("a") is not None
    assert bench.office.failure("b") is None


@pytest.mark.parametrize(
    "fault",
    [
        raising(DeviceLostError("gone"), "prefill", 0),
        raising(EngineError("decoding broke"), "decode", 1),
        raising(OutOfMemoryError("much"), "decode", 1, 2),
        raising(KeyError("a bug"), "prefill", 0),
        raising(EngineError("every time"), "prefill", 0, 1, 2),
    ],
    ids=["device", "decode", "memory", "bug", "three in a row"],
)
def test_what_condemns_the_engine_is_told(fault: Fault) -> None:
    bench = Bench(FakeEngine(slots=1, fault=fault))
    for name in "abc":
        bench.loop.submit(job(name))
    bench.office.wait(lambda: bench.office.error is not None)


def test_a_model_that_cannot_be_loaded_is_told() -> None:
    def load() -> FakeEngine:
        raise ModelError("no weights")

    office = FakeOffice()
    EngineThread(load, office, ProgressFile(None, "0" * 32), Settings(1, 1)).start()
    office.wait(lambda: isinstance(office.error, ModelError))


def wait_until(condition: Callable[[], bool]) -> None:
    """For what only shows in memory; bounded by the test's timeout."""
    while not condition():
        time.sleep(0.005)


def test_progress_beats_while_idle() -> None:
    bench = Bench(FakeEngine())
    bench.loop.idle_phase = Phase.IDLE
    step = bench.progress.step
    wait_until(lambda: bench.progress.step >= step + 2 and bench.progress.phase is Phase.IDLE)
    assert bench.progress.in_flight == 0


def test_progress_tells_phase_and_size() -> None:
    seen: list[tuple[str, Phase, int, int]] = []
    engine = FakeEngine()
    bench = Bench(engine)
    engine.fault = lambda name, _: seen.append(
        (name, bench.progress.phase, bench.progress.size, bench.progress.step)
    )
    bench.loop.submit(job("a", range(10), images=[ImagePlace(0, 2, 3)]))
    bench.finish("a")
    phases = {name: (phase, size) for name, phase, size, _ in seen if name not in ("open", "close")}
    assert phases == {
        "see": (Phase.VISION, 24),
        "prefill": (Phase.PREFILL, 10),
        "decode": (Phase.DECODE, 1),
    }
    steps = [step for name, *_, step in seen if name == "decode"]
    assert steps == sorted(set(steps))


def test_progress_shows_drawing_while_there_is_nothing_else() -> None:
    bench = Bench(FakeEngine())
    bench.office.rendering = 12345
    wait_until(lambda: bench.progress.phase is Phase.RENDERING)
    assert bench.progress.began_ns == 12345
