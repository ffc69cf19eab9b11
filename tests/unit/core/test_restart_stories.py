"""Every way a worker is replaced on purpose, told step by step."""

from dataclasses import replace

from supervisor.core.effects import (
    Alert,
    CheckGone,
    Forget,
    KillTree,
    MoveRequests,
    Record,
    Remember,
    Reply,
    ReportDeath,
    SetRoutes,
    Spawn,
    Terminate,
    WarmUp,
)
from supervisor.core.events import (
    HealthRead,
    InFlightRead,
    MemoryRead,
    Outcome,
    RestartAsked,
    TreeGone,
)
from supervisor.core.model import Cause, Want
from tests.unit.core.stage import Stage, names, only


def test_first_start_sends_traffic_only_after_a_checked_answer() -> None:
    stage = Stage()
    stage.up("gateway")

    stage.load()
    stage.tick(2.0)
    assert not only(stage.health("worker-0", "loading"), WarmUp)
    asked = stage.health("worker-0", "ready")

    assert [effect.generation.epoch for effect in only(asked, WarmUp)] == [stage.epoch()]
    assert stage.station() == "warming"
    assert not stage.state.routes
    stage.warm()
    assert stage.station() == "ready"
    assert [(route.epoch, route.open) for route in stage.state.routes] == [(stage.epoch(), True)]
    assert [record.slot for record in stage.records("started")] == ["gateway", "worker-0"]


def test_planned_restart_is_told_phase_by_phase() -> None:
    stage = Stage()
    stage.all_up()
    old = stage.epoch()

    done = stage.ask()
    assert only(done, Reply) == [Reply("d1", accepted=True, reason="restarting")]
    assert only(done, SetRoutes)[-1].routes[0].open is False
    stage.tick(0.5)
    stage.in_flight("worker-0", 2)
    stage.tick(3.0)
    done = stage.in_flight("worker-0", 0)
    assert names(done) == ["Remember", "ExpectReady", "MoveRequests", "Terminate"]
    stage.tick(1.0)
    done = stage.exit("worker-0", code=0, reported="stopped")
    assert only(done, ReportDeath) == [ReportDeath(old, counted=False, cause=Cause.OPERATOR)]
    assert only(done, SetRoutes)[-1].routes == ()
    done = stage.bury("worker-0", 0.5)
    assert [forget.generation.epoch for forget in only(done, Forget)] == [old]
    assert len(only(done, Spawn)) == 1
    stage.load()
    stage.tick(4.0)
    stage.health("worker-0", "warming")
    stage.tick(1.0)
    stage.health("worker-0", "ready")
    stage.tick(2.0)
    stage.warm()

    (restart,) = stage.records("restart")
    assert [(phase.name, phase.seconds) for phase in restart.phases] == [
        ("decide", 0.0),
        ("hold", 0.5),
        ("drain", 3.0),
        ("stop", 1.0),
        ("gone", 0.5),
        ("memory returned", 0.5),
        ("load", 4.0),
        ("warm", 1.0),
        ("verify", 2.0),
        ("release", 0.0),
    ]
    assert (restart.cause, restart.reason, restart.decision) == (
        Cause.OPERATOR,
        "it got slow",
        "d1",
    )
    assert dict(restart.evidence)["total_seconds"] == 12.5
    assert restart.epoch == stage.epoch() != old
    assert stage.slot().restarts == 1
    assert stage.slot().load_estimate_seconds == 7.0
    assert stage.slot().crashes_in_row == 0


def test_a_count_taken_before_the_route_closed_proves_nothing() -> None:
    stage = Stage()
    stage.all_up()
    before = stage.at
    stage.tick(1.0)
    stage.ask()

    stage.post(InFlightRead(before, stage.epoch(), 0))

    assert stage.station() == "draining"


def test_drain_deadline_moves_what_still_runs() -> None:
    stage = Stage()
    stage.all_up()
    stage.ask()
    stage.in_flight("worker-0", 3)

    done = stage.tick(20.0)

    assert names([e for e in done if isinstance(e, MoveRequests | Terminate)]) == [
        "MoveRequests",
        "Terminate",
    ]
    assert stage.station() == "stopping"


def test_ignored_sigterm_is_followed_by_the_kill_of_the_tree() -> None:
    stage = Stage()
    stage.all_up()
    stage.ask()
    stage.tick(0.5)
    stage.in_flight("worker-0", 0)

    done = stage.tick(5.0)

    assert stage.station() == "killing"
    assert names([e for e in done if isinstance(e, KillTree | CheckGone)])[:2] == [
        "KillTree",
        "CheckGone",
    ]
    (escalation,) = stage.records("escalation")
    assert "5.0 s after SIGTERM" in escalation.reason


def test_an_unkillable_process_alerts_once_and_is_killed_again() -> None:
    stage = Stage()
    stage.all_up()
    stage.ask()
    stage.tick(0.5)
    stage.in_flight("worker-0", 0)
    stage.tick(5.0)

    done = stage.tick(35.0)

    assert stage.station() == "killing"
    assert len(only(done, KillTree)) == 3
    assert [alert.key for alert in only(done, Alert)] == ["failure:worker-0"]


def test_the_memory_gate_is_never_skipped() -> None:
    stage = Stage()
    stage.all_up()
    stage.ask()
    stage.tick(0.5)
    stage.in_flight("worker-0", 0)
    stage.exit("worker-0", code=0)
    stage.post(TreeGone(stage.at, stage.epoch()))

    for outcome in (Outcome.FAILED, Outcome.UNKNOWN, Outcome.TIMEOUT, Outcome.REFUSED):
        stage.post(MemoryRead(stage.at, stage.epoch(), outcome, ""))
        done = stage.tick(31.0)
        assert stage.station() == "gone"
        assert not only(done, Spawn)
    stage.post(MemoryRead(stage.at, stage.epoch(), Outcome.OK, ""))
    assert len(only(stage.tick(), Spawn)) == 1


def test_a_worker_wanted_down_is_drained_and_stays_down() -> None:
    stage = Stage()
    stage.all_up()
    down = replace(stage.slot(), want=Want.DOWN)
    stage.state = replace(stage.state, slots=(stage.state.slots[0], down))

    stage.tick()
    assert stage.station() == "draining"
    stage.tick(0.5)
    stage.in_flight("worker-0", 0)
    stage.exit("worker-0", code=0)
    stage.bury("worker-0")

    assert not only(stage.tick(100.0), Spawn)
    assert stage.station() == "down"
    denied = only(stage.ask(), Reply)[0]
    assert (denied.accepted, denied.reason) == (False, "worker-0 is down")


def test_the_reason_is_durable_before_the_act() -> None:
    stage = Stage()
    stage.all_up()

    done = stage.post(RestartAsked(stage.at, "worker-0", "d1", Cause.OPERATOR, "why", "ada"))

    assert names(done) == ["Record", "Remember", "SetRoutes", "ExpectReady", "Reply"]
    record, remembered = done[0], done[1]
    assert isinstance(record, Record)
    assert isinstance(remembered, Remember)
    assert record.kind == "decision"
    assert remembered.slot.replacement is not None
    assert remembered.slot.replacement.decision == "d1"


def test_late_news_of_a_dead_epoch_changes_nothing() -> None:
    stage = Stage()
    stage.all_up()
    state = stage.state

    done = stage.post(HealthRead(stage.at, "0" * 32, Outcome.REFUSED))

    assert not done
    assert stage.state == state
