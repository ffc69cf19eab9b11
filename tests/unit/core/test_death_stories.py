"""Crashes, kills and failed starts, told step by step."""

import pytest

from supervisor.core.effects import (
    Alert,
    KillTree,
    ReportDeath,
    SetRoutes,
    Severity,
    Spawn,
    Terminate,
)
from supervisor.core.events import SpawnFailed
from supervisor.core.model import Cause
from tests.unit.core.stage import Stage, names, only


def test_a_kill_from_outside_is_answered_at_once() -> None:
    stage = Stage()
    stage.all_up()
    old = stage.epoch()

    done = stage.exit("worker-0", signal=9)

    kinds = names(done)
    assert kinds.index("SetRoutes") < kinds.index("ReportDeath") < kinds.index("KillTree")
    assert only(done, ReportDeath) == [ReportDeath(old, counted=False, cause=Cause.KILLED)]
    assert len(only(stage.bury("worker-0", 0.5), Spawn)) == 1
    stage.up()
    (restart,) = stage.records("restart")
    assert [(phase.name, phase.seconds) for phase in restart.phases] == [
        ("decide", 0.0),
        ("hold", 0.0),
        ("gone", 0.5),
        ("memory returned", 0.5),
        ("load", 3.0),
        ("warm", 0.0),
        ("verify", 0.0),
        ("release", 0.0),
    ]
    evidence = dict(restart.evidence)
    assert sum(phase.seconds for phase in restart.phases) == evidence["total_seconds"]
    assert evidence["signal"] == 9
    assert evidence["phase"] == "ready"
    assert evidence["backoff_seconds"] == 0.0
    assert evidence["actor"] == "supervisor"


@pytest.mark.parametrize(
    ("report", "counted", "cause"),
    [
        ({"signal": 11}, True, Cause.CRASH),
        ({"code": 1}, True, Cause.CRASH),
        ({"code": 75}, True, Cause.TEMPORARY),
        ({"signal": 9, "out_of_memory": True}, True, Cause.OUT_OF_MEMORY),
        ({"signal": 9}, False, Cause.KILLED),
        ({"code": 0}, False, Cause.EXITED),
    ],
)
def test_only_deaths_by_its_own_hand_count(
    report: dict[str, object], counted: bool, cause: Cause
) -> None:
    stage = Stage()
    stage.all_up()
    epoch = stage.epoch()

    done = stage.exit("worker-0", **report)

    assert only(done, ReportDeath) == [ReportDeath(epoch, counted, cause)]


def test_a_crash_while_draining_is_its_own_but_after_sigterm_it_is_ours() -> None:
    stage = Stage()
    stage.all_up()
    stage.ask()
    assert only(stage.exit("worker-0", signal=11), ReportDeath)[0].counted

    stage = Stage()
    stage.all_up()
    stage.ask()
    stage.tick(20.0)
    assert not only(stage.exit("worker-0", signal=11), ReportDeath)[0].counted


def test_each_further_crash_waits_longer_and_people_are_told_at_the_third() -> None:
    stage = Stage()
    stage.all_up()
    delays: list[float] = []
    alerts = []
    for _ in range(4):
        done = stage.exit("worker-0", signal=11)
        alerts.append([alert.severity for alert in only(done, Alert)])
        start_at = stage.slot().start_at
        waits = 0.0 if start_at is None else start_at - stage.at
        delays.append(waits)
        stage.bury("worker-0")
        stage.tick(waits)
        stage.up()

    assert delays[0] == 0.0
    assert 0.8 <= delays[1] <= 1.2
    assert 1.5 <= delays[2] <= 2.4
    assert delays[2] < delays[3]
    assert alerts == [[], [], [Severity.CRITICAL], [Severity.CRITICAL]]
    resolved = [alert for alert in only(stage.effects, Alert) if alert.resolved]
    assert [alert.key for alert in resolved] == ["failure:worker-0"] * 2
    phases = [phase.name for phase in stage.records("restart")[-1].phases]
    assert phases[:5] == ["decide", "hold", "gone", "memory returned", "hold"]


def test_a_stable_run_forgives() -> None:
    stage = Stage()
    stage.all_up()
    stage.exit("worker-0", signal=11)
    stage.bury("worker-0")
    stage.up()
    assert stage.slot().crashes_in_row == 1

    stage.tick(599.0)
    assert stage.slot().crashes_in_row == 1
    stage.tick(1.0)
    assert stage.slot().crashes_in_row == 0


def test_a_configuration_error_does_not_loop() -> None:
    stage = Stage()
    stage.load()

    done = stage.exit("worker-0", code=78, reported="inference.kv.slots: must be positive")

    (alert,) = only(done, Alert)
    assert (alert.key, alert.severity) == ("failure:worker-0", Severity.CRITICAL)
    assert "inference.kv.slots" in alert.title
    stage.bury("worker-0")
    assert stage.station() == "broken"
    assert not only(stage.tick(299.0), Spawn)
    assert len(only(stage.tick(1.5), Spawn)) == 1
    stage.up()
    assert stage.slot().broken is None
    assert only(stage.effects, Alert)[-1].resolved


def test_what_never_becomes_ready_is_stopped_and_tried_again_later() -> None:
    stage = Stage()
    stage.load()

    done = stage.tick(120.0)

    assert stage.station() == "stopping"
    assert names(only(done, Terminate)) == ["Terminate"]
    assert stage.records("failure")[0].cause is Cause.LOAD_TIMEOUT
    assert not only(stage.exit("worker-0", code=0), ReportDeath)
    stage.bury("worker-0")
    assert stage.slot().crashes_in_row == 1
    assert not only(stage.tick(0.5), Spawn) or stage.slot().generation is not None


def test_a_wrong_warm_up_answer_never_gets_traffic() -> None:
    stage = Stage()
    stage.up("gateway")
    stage.load()
    stage.health("worker-0", "ready")

    stage.warm(ok=False)

    assert stage.station() == "stopping"
    assert stage.records("failure")[0].reason == "the warm-up failed: wrong answer"
    assert not any(route.open for told in only(stage.effects, SetRoutes) for route in told.routes)


def test_a_silent_warm_up_ends_at_its_deadline() -> None:
    stage = Stage()
    stage.load()
    stage.health("worker-0", "ready")

    stage.tick(60.0)

    assert stage.records("failure")[0].cause is Cause.WARM_FAILED


def test_a_failed_spawn_backs_off_without_a_memory_gate() -> None:
    stage = Stage()
    epoch = stage.epoch()

    done = stage.post(SpawnFailed(stage.at, epoch, "no such file")) + stage.tick()

    assert names([effect for effect in done if isinstance(effect, KillTree)]) == []
    assert stage.station() == "backoff"
    assert len(only(stage.tick(1.5), Spawn)) == 1


def test_a_crash_of_the_successor_belongs_to_the_same_restart() -> None:
    stage = Stage()
    stage.all_up()
    stage.ask()
    stage.tick(0.5)
    stage.in_flight("worker-0", 0)
    stage.exit("worker-0", code=0)
    stage.bury("worker-0")
    stage.load()
    stage.exit("worker-0", signal=11)
    stage.bury("worker-0")
    stage.tick(2.0)
    stage.up()

    (restart,) = stage.records("restart")
    assert restart.decision == "d1"
    assert [phase.name for phase in restart.phases].count("load") == 2
    assert len(stage.records("decision")) == 1


def test_the_gateway_is_replaced_too_and_told_everything_again() -> None:
    stage = Stage()
    stage.all_up()

    done = stage.exit("gateway", signal=9)
    assert not only(done, ReportDeath)
    stage.bury("gateway")
    stage.load("gateway")
    stage.health("gateway", "ready")
    before = len(stage.effects)
    stage.warm("gateway")

    told = only(stage.effects[before:], SetRoutes)
    assert [route.epoch for route in told[0].routes] == [stage.epoch()]
    assert told[0].routes[0].open
