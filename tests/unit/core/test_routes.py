"""When a worker is expected: from history and what remains, never from hope alone."""

import pytest

from supervisor.core.effects import ExpectReady
from tests.unit.core.stage import Stage, only


def expected(stage: Stage) -> list[float | None]:
    return [effect.seconds for effect in only(stage.effects, ExpectReady)]


def test_a_first_start_is_guessed_and_then_counted_down() -> None:
    stage = Stage()
    assert expected(stage) == [30.0]

    stage.tick(10.0)
    assert len(expected(stage)) == 1, "nothing new: the time foretold is the same"


def test_a_restart_is_expected_to_take_what_the_last_start_took() -> None:
    stage = Stage()
    stage.up("gateway")
    stage.up("worker-0", seconds=7.0)
    assert stage.slot().load_estimate_seconds == 10.0
    assert expected(stage)[-1] is None

    stage.exit("worker-0", signal=9)
    assert expected(stage)[-1] == pytest.approx(11.0)


def test_a_late_start_is_always_about_to_come() -> None:
    stage = Stage()
    stage.load()
    stage.tick(60.0)

    told = expected(stage)[-1]
    assert told is not None
    assert told == pytest.approx(1.0, abs=0.01)


def test_nobody_knows_when_a_broken_worker_serves() -> None:
    stage = Stage()
    stage.load()
    stage.exit("worker-0", code=78)
    stage.bury("worker-0")

    assert expected(stage)[-1] is None


def test_another_ready_worker_means_no_wait_at_all() -> None:
    stage = Stage("worker-0", "worker-1")
    stage.all_up()
    before = len(expected(stage))

    stage.ask("worker-0")

    assert len(expected(stage)) == before
