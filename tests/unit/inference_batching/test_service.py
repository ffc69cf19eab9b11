"""The event loop's side: bounds, tickets, cancellation."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from inference.batching.chat import ChatRequest, Message, RenderFacts, Usage
from inference.batching.prepare import Prepared
from inference.batching.request import Admitted, Failed, Job, Progress
from inference.batching.service import Service
from inference.errors import RequestError
from tests.unit.inference_batching.fakes import job

CHAT = ChatRequest(None, (Message("user", ("x",)),), seed=1)
LAST = Progress(0, (7,), "x", 1, "length")


class Engine:
    """Records what it is told."""

    def __init__(self) -> None:
        self.jobs: list[str] = []
        self.cancelled: list[str] = []

    def submit(self, job: Job) -> None:
        self.jobs.append(job.id)

    def cancel(self, request_id: str) -> None:
        self.cancelled.append(request_id)


class Preparer:
    def __init__(self) -> None:
        self.error: Exception | None = None
        self.ended: Progress | None = None

    def prepare(self, request_id: str, chat: ChatRequest) -> Prepared:
        if self.error is not None:
            raise self.error
        usage = Usage(3, RenderFacts("never", "p"))
        return Prepared(job(request_id), usage, "f", (), 0, self.ended)


class Bench:
    def __init__(self, slots: int = 2, queue: int = 2) -> None:
        self.engine, self.preparer = Engine(), Preparer()
        self.service = Service(self.engine, self.preparer, slots, queue)

    async def reached(self, *names: str) -> None:
        """The engine has been given these requests."""
        while not set(names) <= set(self.engine.jobs):
            await asyncio.sleep(0.001)


def run(scenario: Callable[[Bench], Awaitable[None]], **keys: int) -> None:
    async def main() -> None:
        await asyncio.wait_for(scenario(Bench(**keys)), 30)

    asyncio.run(main())


def test_a_request_waits_for_its_slot_and_hears_its_news() -> None:
    async def scenario(bench: Bench) -> None:
        waiting = asyncio.create_task(bench.service.submit("a", CHAT))
        await bench.reached("a")
        assert not waiting.done()
        assert (bench.service.in_flight, bench.service.running) == (1, 0)
        bench.service.deliver([("a", Admitted()), ("nobody", LAST), ("a", LAST)])
        ticket = await waiting
        assert bench.service.running == 1
        assert [step async for step in ticket.progress()] == [LAST]
        bench.service.release(ticket)
        assert (bench.service.in_flight, bench.service.running) == (0, 0)
        assert bench.engine.cancelled == []

    run(scenario)


def test_more_than_slots_and_queue_are_refused() -> None:
    async def scenario(bench: Bench) -> None:
        tasks = [asyncio.create_task(bench.service.submit(name, CHAT)) for name in "abcd"]
        await bench.reached("a", "b")
        with pytest.raises(RequestError) as raised:
            await bench.service.submit("e", CHAT)
        assert raised.value.code == "queue_full"
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert bench.service.in_flight == 0

    run(scenario)


def test_only_as_many_as_slots_are_drawn_ahead() -> None:
    async def scenario(bench: Bench) -> None:
        tasks = [asyncio.create_task(bench.service.submit(name, CHAT)) for name in "abc"]
        await bench.reached("a", "b")
        assert bench.engine.jobs == ["a", "b"]
        bench.service.deliver([("a", Admitted())])
        await tasks[0]
        await bench.reached("c")
        for task in tasks[1:]:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert sorted(bench.engine.cancelled) == ["b", "c"]

    run(scenario)


def test_leaving_early_stops_the_computation() -> None:
    async def scenario(bench: Bench) -> None:
        waiting = asyncio.create_task(bench.service.submit("a", CHAT))
        await bench.reached("a")
        bench.service.deliver([("a", Admitted()), ("a", Progress(0, (1,), "x", 1))])
        bench.service.release(await waiting)
        assert bench.engine.cancelled == ["a"]
        bench.service.deliver([("a", LAST)])

    run(scenario)


def test_refusals_and_failures_reach_the_caller() -> None:
    async def scenario(bench: Bench) -> None:
        bench.preparer.error = RequestError("invalid_request", "no")
        with pytest.raises(RequestError, match="no"):
            await bench.service.submit("a", CHAT)
        bench.preparer.error = None
        waiting = asyncio.create_task(bench.service.submit("b", CHAT))
        await bench.reached("b")
        bench.service.deliver([("b", Failed(RequestError("queue_full", "full")))])
        with pytest.raises(RequestError, match="full"):
            await waiting
        running = asyncio.create_task(bench.service.submit("c", CHAT))
        await bench.reached("c")
        bench.service.deliver([("c", Admitted()), ("c", Failed(RequestError("engine_error", "e")))])
        ticket = await running
        with pytest.raises(RequestError, match="engine_error"):
            async for _ in ticket.progress():
                pass
        bench.service.release(ticket)
        assert bench.service.in_flight == 0

    run(scenario)


def test_an_answer_that_had_ended_needs_no_engine() -> None:
    async def scenario(bench: Bench) -> None:
        bench.preparer.ended = LAST
        ticket = await bench.service.submit("a", CHAT)
        assert [step async for step in ticket.progress()] == [LAST]
        bench.service.release(ticket)
        assert bench.engine.jobs == bench.engine.cancelled == []
        assert (bench.service.in_flight, bench.service.running) == (0, 0)

    run(scenario)
