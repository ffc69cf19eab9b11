"""The dispatcher, the outbox and the verdicts on a real event loop."""

import asyncio

import pytest

from supervisor.gateway.counters import Counters
from supervisor.gateway.deadlines import Patience
from supervisor.gateway.dispatcher import Dispatcher
from supervisor.gateway.errors import RefusedError, problem
from supervisor.gateway.outbox import ROOM_BYTES, Outbox
from supervisor.gateway.routing import Route, RouteTable, Waiter, Worker
from supervisor.gateway.verdicts import MAX_VERDICTS, Verdicts

WORKER = Worker("a", "a", 1, "/run/a.sock", open=True)


def dispatcher() -> Dispatcher:
    return Dispatcher(RouteTable(), asyncio.get_running_loop().time, Counters())


def acquire(
    made: Dispatcher, order: int, *, seconds: float = 60.0, committed: bool = False
) -> asyncio.Task[Route]:
    patience = Patience(asyncio.get_running_loop().time() + seconds, committed)
    return asyncio.create_task(made.acquire(Waiter(order), patience))


def test_everyone_waiting_is_served_when_a_worker_comes() -> None:
    async def run() -> None:
        made = dispatcher()
        tasks = [acquire(made, number) for number in range(3)]
        await asyncio.sleep(0)
        assert made.table.waiting == 3
        made.update([WORKER])
        routes = await asyncio.gather(*tasks)
        assert made.table.in_flight() == {"a": 3}
        for route in routes:
            made.release(route)
        assert made.table.in_flight() == {"a": 0}

    asyncio.run(run())


def test_a_cancelled_waiter_leaves_nothing_behind() -> None:
    async def run() -> None:
        made = dispatcher()
        waiting, assigned = acquire(made, 0), acquire(made, 1)
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        made.update([WORKER])
        assert made.table.in_flight() == {"a": 1}
        assigned.cancel()  # after the assignment, before it could notice
        await asyncio.gather(assigned, return_exceptions=True)
        assert made.table.in_flight() == {"a": 0}
        assert made.table.waiting == 0

    asyncio.run(run())


def test_a_pause_ends_by_itself() -> None:
    async def run() -> None:
        made = dispatcher()
        made.update([WORKER])
        route = await acquire(made, 0)
        made.release(route, failed=True)
        again = acquire(made, 1)
        await asyncio.sleep(0)
        assert not again.done()
        assert await asyncio.wait_for(again, 10) is route

    asyncio.run(run())


def test_only_hopeless_and_uncommitted_waiters_are_refused() -> None:
    async def run() -> None:
        made = dispatcher()
        hopeless = acquire(made, 0, seconds=10)
        patient = acquire(made, 1, seconds=100)
        committed = acquire(made, 2, seconds=10, committed=True)
        await asyncio.sleep(0)
        made.expect(50.0)
        with pytest.raises(RefusedError) as refused:
            await hopeless
        assert refused.value.problem.retry_after_seconds == 50
        with pytest.raises(RefusedError):
            await acquire(made, 3, seconds=10)
        made.update([WORKER])
        await asyncio.gather(patient, committed)
        assert made.ready_in_seconds() == 0.0
        await acquire(made, 4, seconds=10)  # a worker is there: nothing to expect
        made.update([])
        assert made.ready_in_seconds() is None  # the expected worker had come

    asyncio.run(run())


def test_an_outbox_gives_all_then_its_end_and_makes_its_writer_wait() -> None:
    async def run() -> None:
        box = Outbox()
        box.push(b"a")
        box.push(b"b")
        assert await box.take() == b"ab"
        box.push(b"x" * (ROOM_BYTES + 1))
        room = asyncio.create_task(box.room())
        await asyncio.sleep(0)
        assert not room.done()
        assert len(await box.take()) == ROOM_BYTES + 1
        await room
        box.push(b"last")
        failure = problem("stopping", "x")
        box.close(failure)
        box.close(None)
        box.push(b"too late")
        assert await box.take() == b"last"
        assert await box.take() == b""
        assert box.failure is failure

    asyncio.run(run())


def test_verdicts_wake_their_waiters_and_are_bounded() -> None:
    async def run() -> None:
        verdicts = Verdicts()
        waiting = asyncio.create_task(verdicts.wait("a", 60))
        await asyncio.sleep(0)
        verdicts.record("b", True)
        await asyncio.sleep(0)
        assert not waiting.done()
        verdicts.record("a", False)
        await waiting
        await verdicts.wait("nobody speaks of", 0.01)
        for number in range(MAX_VERDICTS + 10):
            verdicts.record(str(number), True)
        assert len(verdicts.known) == MAX_VERDICTS
        assert "a" not in verdicts.known

    asyncio.run(run())
