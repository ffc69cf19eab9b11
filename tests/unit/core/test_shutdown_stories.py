"""Coming down: politely, impatiently, and from every phase."""

import pytest

from supervisor.core.effects import (
    KillTree,
    MoveRequests,
    Quit,
    Reply,
    ReportDeath,
    Spawn,
    StopGateway,
    Terminate,
)
from supervisor.core.events import Outcome, Spawned, StopAsked, TreeGone
from supervisor.core.model import Cause, Identity
from tests.unit.core.stage import Stage, names, only


def stop(stage: Stage, drain: bool = True) -> list[str]:
    done = stage.post(StopAsked(stage.at, drain, "ctrl-c")) + stage.tick()
    return names(done)


def test_the_gateway_finishes_while_workers_serve_then_all_leave() -> None:
    stage = Stage()
    stage.all_up()

    assert "StopGateway" in stop(stage)
    (asked,) = only(stage.effects, StopGateway)
    assert asked.drain_seconds == 20.0
    stage.tick(10.0)
    assert stage.station("gateway") == "draining"
    assert stage.station() == "ready"

    done = stage.exit("gateway", code=0, reported="stopped")
    assert len(only(done, Terminate)) == 1, "nobody is left to serve"
    stage.bury("gateway")
    assert stage.station() == "stopping"
    done = stage.exit("worker-0", code=0, reported="stopped")
    assert not any(report.counted for report in only(done, ReportDeath))
    assert not only(done, Quit)
    done = stage.bury("worker-0")
    assert names(done)[-2:] == ["Forget", "Quit"]
    assert not only(stage.tick(60.0), Spawn)
    assert len(only(stage.effects, Quit)) == 1
    assert not stage.records("decision")


def test_a_second_request_skips_the_drain() -> None:
    stage = Stage()
    stage.all_up()
    stop(stage)

    kinds = stop(stage)

    assert kinds.count("Terminate") == 2
    assert kinds.index("MoveRequests") < kinds.index("Terminate")
    assert stage.station("gateway") == stage.station() == "stopping"


def test_a_stop_without_drain_closes_the_route_before_the_signal() -> None:
    stage = Stage()
    stage.all_up()

    kinds = stop(stage, drain=False)

    assert kinds.index("SetRoutes") < kinds.index("MoveRequests") < kinds.index("Terminate")
    assert "StopGateway" not in kinds


def test_a_gateway_that_does_not_finish_is_ended() -> None:
    stage = Stage()
    stage.all_up()
    stop(stage)

    stage.tick(25.0)
    assert stage.station("gateway") == "stopping"
    stage.tick(5.0)
    assert stage.station("gateway") == "killing"


def test_a_gateway_still_loading_is_simply_stopped() -> None:
    stage = Stage()
    stage.load("gateway")
    stage.load("worker-0")

    kinds = stop(stage)

    assert kinds.count("Terminate") == 1
    stage.exit("gateway", code=0)
    stage.bury("gateway")
    assert stage.station() == "stopping"


def test_a_process_that_appears_while_stopping_is_stopped_too() -> None:
    stage = Stage()
    stop(stage)
    assert stage.station() == "spawned"

    stage.post(Spawned(stage.at, stage.epoch("gateway"), Identity("boot", 1, 10)))
    stage.tick()
    assert stage.station("gateway") == "stopping"


def test_backoff_and_broken_slots_hold_up_nothing() -> None:
    stage = Stage()
    stage.load("worker-0")
    stage.exit("worker-0", code=78)
    stage.bury("worker-0")
    stage.load("gateway")
    stage.exit("gateway", signal=11)
    stage.bury("gateway")

    kinds = stop(stage)

    assert "Quit" in kinds
    assert {record.slot for record in stage.records("abandoned")} == {"gateway", "worker-0"}


def test_a_worker_that_crashes_meanwhile_is_not_replaced() -> None:
    stage = Stage()
    stage.all_up()
    stop(stage)

    done = stage.exit("worker-0", signal=11)

    assert [report.cause for report in only(done, ReportDeath)] == [Cause.CRASH]
    stage.bury("worker-0")
    assert not only(stage.tick(30.0), Spawn)


def test_restarts_are_denied_while_stopping() -> None:
    stage = Stage()
    stage.all_up()
    stop(stage)

    assert only(stage.ask(), Reply) == [
        Reply("d1", accepted=False, reason="everything is being stopped")
    ]


def test_memory_that_does_not_return_holds_up_the_stop_only_so_long() -> None:
    stage = Stage()
    stage.all_up()
    stop(stage, drain=False)
    stage.exit("gateway", code=0)
    stage.bury("gateway")
    stage.exit("worker-0", code=0)
    stage.post(TreeGone(stage.at, stage.epoch()))

    assert not only(stage.tick(29.0), Quit)
    assert len(only(stage.tick(2.0), Quit)) == 1
    assert len(stage.records("unreturned")) == 1


@pytest.mark.parametrize("outcome", [Outcome.TIMEOUT, Outcome.REFUSED])
def test_nothing_is_judged_hung_on_its_way_out(outcome: Outcome) -> None:
    stage = Stage()
    stage.all_up()
    stop(stage, drain=False)

    stage.health("worker-0", "", outcome)
    done = stage.progress("worker-0", "stopping", 500.0)

    assert not only(done, KillTree)
    assert len(only(stage.effects, MoveRequests)) == 1
