"""The order of effects, and a disk that hangs."""

import asyncio
import json
import sqlite3
from concurrent.futures import Future
from pathlib import Path

import pytest

from supervisor.core import effects as fx
from supervisor.core.events import Booted, Spawned, StopAsked, WarmUpDone
from supervisor.core.machine import initial
from supervisor.core.model import Identity, Kind, State
from supervisor.core.policy import Policy
from supervisor.runtime import clock, reactor
from supervisor.runtime.reactor import Hands, Mailbox, Pace, Reactor
from supervisor.store.journal import Journal, read_events
from supervisor.store.writer import Work, Writer
from tests.unit.core.stage import Stage

PACE = Pace(Policy(), tick_seconds=0.05)
SLOTS = [("gateway", Kind.GATEWAY), ("worker-0", Kind.WORKER)]


class Scene:
    """A reactor with hands that only write down what they are told."""

    def __init__(self, journal: Journal) -> None:
        self.mailbox = Mailbox()
        self.performed: list[fx.Effect] = []
        self.ticks = 0
        self.journal = journal
        hands = Hands(self.intend, self.performed.append, self.after_tick)
        self.reactor = Reactor(initial(SLOTS), PACE, journal, self.mailbox, hands)

    def intend(self, effect: fx.Spawn) -> "Future[bool]":
        return self.journal.intend(effect.slot, effect.epoch, effect.number, Path("/run/x.sock"))

    def after_tick(self, state: State) -> None:
        self.ticks += 1

    async def until_performed(self, kind: type, count: int) -> None:
        while sum(isinstance(effect, kind) for effect in self.performed) < count:
            await asyncio.sleep(0.01)


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "journal.db", "boot")


def test_intent_is_durable_before_the_process(journal: Journal, tmp_path: Path) -> None:
    async def play() -> None:
        scene = Scene(journal)
        seen: list[int] = []
        perform = scene.performed.append

        def look(effect: fx.Effect) -> None:
            if isinstance(effect, fx.Spawn):
                other = Journal(tmp_path / "journal.db", "boot")
                seen.append(sum(child.epoch == effect.epoch for child in other.children()))
                other.close()
            perform(effect)

        hands = Hands(scene.intend, look, scene.after_tick)
        scene.reactor = Reactor(initial(SLOTS), PACE, journal, scene.mailbox, hands)
        scene.mailbox.post(Booted(clock.now(), 1))
        task = asyncio.create_task(scene.reactor.run())
        await scene.until_performed(fx.Spawn, 2)
        task.cancel()
        assert seen == [1, 1]

    asyncio.run(play())
    journal.close()


def told_and_remembered(path: Path) -> tuple[list[object], list[object]]:
    """Decisions whose restart is told as finished, and those remembered as under way."""
    told = [event["evidence"] for event in read_events(path, limit=99, after=0)]
    database = sqlite3.connect(path)
    try:
        rows = database.execute("SELECT memory FROM slots").fetchall()
    finally:
        database.close()
    open_ = [json.loads(row[0])["replacement"] for row in rows]
    return (
        [evidence["decision"] for evidence in told if "old_epoch" in evidence],  # type: ignore[index,operator]
        [replacement["decision"] for replacement in open_ if replacement is not None],
    )


def test_no_crash_point_has_a_restart_both_finished_and_under_way(
    journal: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A supervisor can only die between two transactions: look at the file after each of them."""
    stage = Stage()
    stage.all_up()
    stage.ask(decision="d1")
    stage.tick(0.5)
    stage.in_flight("worker-0", 0)
    stage.exit("worker-0", code=0)
    stage.bury("worker-0")
    stage.load()
    stage.health("worker-0", "ready")
    points: list[tuple[list[object], list[object]]] = []
    write = Writer._write

    def look(self: Writer, work: Work) -> bool:
        written = write(self, work)
        points.append(told_and_remembered(tmp_path / "journal.db"))
        return written

    monkeypatch.setattr(Writer, "_write", look)

    async def play() -> None:
        scene = Scene(journal)
        hands = Hands(scene.intend, scene.performed.append, scene.after_tick)
        scene.reactor = Reactor(stage.state, PACE, journal, scene.mailbox, hands)
        journal.remember(stage.slot()).result()
        scene.mailbox.post(WarmUpDone(clock.now(), stage.epoch(), ok=True, detail=""))
        task = asyncio.create_task(scene.reactor.run())
        await scene.until_performed(fx.SetRoutes, 1)
        task.cancel()

    asyncio.run(play())
    journal.close()
    assert points[0] == ([], ["d1"])
    assert points[-1] == (["d1"], [])
    assert not any(set(told) & set(remembered) for told, remembered in points)


def test_quit_ends_the_loop(journal: Journal) -> None:
    async def play() -> None:
        scene = Scene(journal)
        scene.mailbox.post(Booted(clock.now(), 1))
        scene.mailbox.post(StopAsked(clock.now(), drain=False, reason="test"))
        async with asyncio.timeout(10):
            await scene.reactor.run()
        assert isinstance(scene.performed[-1], fx.Quit)
        assert scene.ticks >= 1

    asyncio.run(play())
    journal.close()
    assert [event["kind"] for event in journal.events(limit=9, after=0)] == ["boot", "stop"]


def test_a_hanging_disk_delays_once(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reactor, "_DURABLE_SECONDS", 0.2)
    waits: list[Future[bool]] = []

    def never(self: object, work: Work) -> "Future[bool]":
        waits.append(work.done)
        return work.done

    async def play() -> None:
        scene = Scene(journal)
        monkeypatch.setattr("supervisor.store.writer.Writer.submit", never)
        scene.mailbox.post(Booted(clock.now(), 1))
        task = asyncio.create_task(scene.reactor.run())
        async with asyncio.timeout(10):
            await scene.until_performed(fx.Spawn, 2)
            for effect in tuple(scene.performed):
                if isinstance(effect, fx.Spawn):
                    identity = Identity("b", 1, 1)
                    scene.mailbox.post(Spawned(clock.now(), effect.epoch, identity))
            while any(slot.generation is None for slot in scene.reactor.state.slots):
                await asyncio.sleep(0.01)
        task.cancel()
        assert len(waits) >= 3

    asyncio.run(play())


def test_a_failing_core_is_counted_and_survived(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> object:
        raise ZeroDivisionError

    async def play() -> None:
        scene = Scene(journal)
        with monkeypatch.context() as patch:
            patch.setattr(reactor, "step", broken)
            task = asyncio.create_task(scene.reactor.run())
            while scene.reactor.problems < 2:
                await asyncio.sleep(0.01)
            assert scene.ticks == 0, "the watchdog must not be fed by ticks that fail"
        scene.mailbox.post(Booted(clock.now(), 1))
        scene.mailbox.post(StopAsked(clock.now(), drain=False, reason="test"))
        async with asyncio.timeout(10):
            await task

    asyncio.run(play())
    journal.close()
