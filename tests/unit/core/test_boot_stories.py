"""A new supervisor finds what the last one left: adopt, bury, finish, and never repeat."""

from dataclasses import replace

import pytest

from supervisor.core.effects import (
    Forget,
    KillTree,
    MoveRequests,
    Remember,
    Reply,
    ReportDeath,
    SetRoutes,
    Spawn,
    Terminate,
)
from supervisor.core.events import (
    Adopted,
    Booted,
    Exited,
    FoundDead,
    Remembered,
    RestartAsked,
    Tick,
)
from supervisor.core.model import (
    Cause,
    ExitReport,
    Identity,
    Phase,
    PhaseTime,
    Replacement,
    Want,
)
from supervisor.core.table import UnknownPairError
from tests.unit.core.stage import Stage, names, only

OLD, NEW = "a" * 32, "b" * 32
WHO = Identity("boot", 42, 4200)


def restart(phase_name: str, cause: Cause = Cause.OPERATOR) -> Replacement:
    phases = (PhaseTime("decide", 0.0),)
    evidence = (("counted", True),) if cause is Cause.HANG else ()
    return Replacement("d1", cause, "why", "ada", evidence, OLD, 90.0, phase_name, 91.0, phases)


def remembered(want: Want = Want.UP, restarting: Replacement | None = None) -> Remembered:
    return Remembered(100.0, "worker-0", want, 3, 1, 2, (50.0, 5000.0), restarting)


def adopted(phase: Phase, epoch: str, restarting: Replacement | None = None) -> Adopted:
    served = phase in (Phase.READY, Phase.DRAINING, Phase.STOPPING, Phase.KILLING)
    ready_at = 80.0 if served else None
    return Adopted(100.0, "worker-0", epoch, 3, WHO, phase, ready_at, restarting)


def found_dead(epoch: str, restarting: Replacement | None, **report: int) -> FoundDead:
    report_ = ExitReport(code=report.get("code"), signal=report.get("signal"))
    return FoundDead(100.0, "worker-0", epoch, 3, report_, True, restarting, WHO)


def boot(*leftovers: Remembered | Adopted | FoundDead) -> Stage:
    stage = Stage(boot=False)
    for event in leftovers:
        assert not only(stage.post(event), Remember), "half a boot must not replace the journal"
    stage.post(Booted(stage.at, 2))
    return stage


def test_memory_of_a_slot_survives_and_times_of_the_future_do_not() -> None:
    stage = boot(remembered())

    slot = stage.slot()
    assert (slot.generations, slot.crashes_in_row, slot.restarts) == (3, 1, 2)
    assert slot.watchdog_restarts == (50.0,)
    stage.tick()
    assert stage.generation().number == 4


def test_what_serves_goes_on_serving() -> None:
    stage = boot(remembered(), adopted(Phase.READY, OLD))

    assert stage.station() == "ready"
    (told,) = only(stage.effects, SetRoutes)
    assert [(route.epoch, route.open) for route in told.routes] == [(OLD, True)]
    assert [spawn.slot for spawn in only(stage.tick(), Spawn)] == ["gateway"]


def test_nothing_happens_before_all_is_known() -> None:
    stage = Stage(boot=False)

    assert not stage.post(Tick(stage.at, "0" * 32))
    done = stage.post(RestartAsked(stage.at, "worker-0", "d", Cause.OPERATOR, "why", "ada"))

    assert only(done, Reply)[0].reason == "the supervisor is starting"
    stage.post(Booted(stage.at, 1))
    with pytest.raises(UnknownPairError):
        stage.post(remembered())


@pytest.mark.parametrize("phase", [Phase.SPAWNED, Phase.LOADING, Phase.WARMING])
def test_what_was_starting_has_to_answer_the_warm_up_first(phase: Phase) -> None:
    stage = boot(remembered(), adopted(phase, OLD))

    assert stage.station() == "loading"
    stage.health("worker-0", "ready")
    assert stage.station() == "warming"
    stage.warm()
    assert stage.station() == "ready"


def test_an_unfinished_drain_goes_on() -> None:
    stage = boot(remembered(), adopted(Phase.DRAINING, OLD, restart("drain")))

    assert stage.station() == "draining"
    stage.tick(0.5)
    done = stage.in_flight("worker-0", 0)

    assert names([e for e in done if isinstance(e, MoveRequests | Terminate)]) == [
        "MoveRequests",
        "Terminate",
    ]


def test_a_drain_for_a_stop_that_never_came_is_undone() -> None:
    stage = boot(remembered(), adopted(Phase.DRAINING, OLD))

    assert stage.station() == "ready"


def test_an_interrupted_stop_is_repeated_with_the_route_closed_first() -> None:
    stage = boot(remembered(), adopted(Phase.STOPPING, OLD, restart("stop")))

    kinds = names(stage.effects)
    assert kinds.index("SetRoutes") < kinds.index("MoveRequests") < kinds.index("Terminate")
    assert only(stage.effects, SetRoutes)[0].routes[0].open is False
    done = stage.exit("worker-0", code=0)
    assert not only(done, ReportDeath)[0].counted
    assert stage.slot().crashes_in_row == 1


def test_an_interrupted_kill_is_repeated_and_its_verdict_sent_again() -> None:
    stage = boot(remembered(), adopted(Phase.KILLING, OLD, restart("stop", Cause.HANG)))

    assert len(only(stage.effects, KillTree)) == 1
    stage.post(Exited(stage.at, OLD, ExitReport(signal=9)))
    assert only(stage.effects, ReportDeath) == [ReportDeath(OLD, counted=True, cause=Cause.HANG)]


def test_the_successor_of_a_restart_is_not_restarted_again() -> None:
    stage = boot(remembered(), adopted(Phase.LOADING, NEW, restart("load")))

    assert stage.station() == "loading"
    stage.health("worker-0", "ready")
    stage.warm()

    (done,) = stage.records("restart")
    assert (done.decision, done.epoch) == ("d1", NEW)
    assert done.phases[0] == PhaseTime("decide", 0.0)
    assert not stage.records("decision")
    assert not only(stage.effects, Terminate)
    stage.tick(60.0)
    assert stage.station() == "ready"


def test_a_restart_accepted_but_not_begun_is_begun() -> None:
    stage = boot(remembered(), adopted(Phase.READY, OLD, restart("decide")))

    stage.tick()

    assert stage.station() == "draining"


def test_a_death_by_our_hand_is_finished_not_punished() -> None:
    stage = boot(remembered(), found_dead(OLD, restart("stop"), code=0))

    assert only(stage.effects, ReportDeath) == [
        ReportDeath(OLD, counted=False, cause=Cause.OPERATOR)
    ]
    assert stage.slot().crashes_in_row == 1
    done = stage.bury("worker-0")
    assert [forget.generation.epoch for forget in only(done, Forget)] == [OLD]
    assert "worker-0" in [spawn.slot for spawn in only(done, Spawn)]
    stage.up()
    assert [record.decision for record in stage.records("restart")] == ["d1"]


def test_a_death_in_our_absence_is_a_crash_of_its_own() -> None:
    stage = boot(remembered(), found_dead(OLD, None, code=1))

    assert only(stage.effects, ReportDeath) == [ReportDeath(OLD, counted=True, cause=Cause.CRASH)]
    assert stage.slot().crashes_in_row == 2
    assert stage.slot().replacement is not None


def test_a_crash_already_answered_is_not_counted_twice() -> None:
    stage = boot(remembered(), found_dead(OLD, restart("gone", Cause.CRASH), signal=11))

    assert only(stage.effects, ReportDeath) == [ReportDeath(OLD, counted=True, cause=Cause.CRASH)]
    assert stage.slot().crashes_in_row == 1
    assert not stage.records("decision")


def test_a_death_already_written_down_is_not_written_again() -> None:
    dead = replace(found_dead(OLD, restart("gone", Cause.CRASH), signal=11), accounted=True)
    stage = boot(remembered(), dead)

    assert only(stage.effects, ReportDeath) == [ReportDeath(OLD, counted=True, cause=Cause.CRASH)]
    assert not stage.records("death")
    assert stage.slot().crashes_in_row == 1
    assert stage.station() == "killing"
    assert "worker-0" in [spawn.slot for spawn in only(stage.bury("worker-0"), Spawn)]


def test_a_restart_between_two_generations_is_finished() -> None:
    stage = boot(remembered(restarting=restart("hold")))

    stage.tick()
    stage.up()

    assert [record.decision for record in stage.records("restart")] == ["d1"]


@pytest.mark.parametrize("want", [Want.DOWN, Want.PAUSED])
def test_what_nobody_wants_is_not_started(want: Want) -> None:
    stage = boot(remembered(want))

    assert "worker-0" not in [spawn.slot for spawn in only(stage.tick(100.0), Spawn)]
    assert stage.station() == "down"


def test_paused_means_no_hand_but_the_operators() -> None:
    stage = boot(remembered(Want.PAUSED), adopted(Phase.READY, OLD))
    stage.tick()

    assert not only(stage.progress("worker-0", "decode", 500.0), KillTree)
    assert only(stage.ask(), Reply)[0].accepted
    stage.tick(0.5)
    stage.in_flight("worker-0", 0)
    stage.exit("worker-0", code=0)
    assert len(only(stage.bury("worker-0"), Spawn)) == 1
