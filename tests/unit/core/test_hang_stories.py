"""Hung, busy, stopped, refused, or not looked at: only what cannot serve is replaced."""

from itertools import product

import pytest

from supervisor.core.effects import Alert, KillTree, ReportDeath, Severity
from supervisor.core.events import HealthRead, Outcome, ProgressRead, Tick
from supervisor.core.hang import deadline_seconds
from supervisor.core.model import Cause
from supervisor.core.policy import Hang
from tests.unit.core.stage import Stage, names, only


@pytest.mark.parametrize(
    ("phase", "size", "seconds"),
    [
        ("starting", 0, 120.0),
        ("loading", 0, 120.0),
        ("warming", 0, 60.0),
        ("idle", 0, 8.0),
        ("rendering", 0, 30.0),
        ("vision", 4000, 10.0 + 20.0),
        ("prefill", 3000, 10.0 + 30.0),
        ("decode", 8, 8.0),
        ("stopping", 0, 30.0),
        ("a phase of tomorrow", 5, 120.0),
    ],
)
def test_deadline_of_each_engine_phase(phase: str, size: int, seconds: float) -> None:
    assert deadline_seconds(phase, size, Hang()) == pytest.approx(seconds)


def test_a_hang_is_found_and_cured_with_its_evidence() -> None:
    stage = Stage()
    stage.all_up()
    epoch = stage.epoch()
    assert not stage.progress("worker-0", "decode", 7.9)
    stage.tick(0.5)

    done = stage.progress("worker-0", "decode", 8.1)

    kinds = names(done)
    assert kinds.index("Record") < kinds.index("Remember") < kinds.index("SetRoutes")
    assert kinds.index("SetRoutes") < kinds.index("ReportDeath") < kinds.index("KillTree")
    assert only(done, ReportDeath) == [ReportDeath(epoch, counted=True, cause=Cause.HANG)]
    evidence = dict(stage.records("decision")[0].evidence)
    assert evidence["engine_phase"] == "decode"
    assert evidence["age_seconds"] == 8.1
    assert evidence["deadline_seconds"] == 8.0
    assert evidence["process_state"] == "S"
    assert evidence["budget_left"] == 2
    assert len(stage.slot().watchdog_restarts) == 1
    done = stage.exit("worker-0", signal=9)
    assert not only(done, ReportDeath), "the verdict went with the decision"
    stage.bury("worker-0")
    stage.up()
    (restart,) = stage.records("restart")
    assert restart.cause is Cause.HANG
    assert [phase.name for phase in restart.phases][:4] == ["decide", "hold", "stop", "gone"]


def test_a_stopped_process_hangs_but_its_requests_are_not_blamed() -> None:
    stage = Stage()
    stage.all_up()

    done = stage.progress("worker-0", "idle", 9.0, state="T")

    assert [report.counted for report in only(done, ReportDeath)] == [False]


def test_a_large_prefill_is_work_not_a_hang() -> None:
    stage = Stage()
    stage.all_up()

    assert not stage.progress("worker-0", "prefill", 39.0, size=3000)
    assert stage.station() == "ready"


@pytest.mark.parametrize("outcome", [Outcome.UNKNOWN, Outcome.TIMEOUT, Outcome.FAILED])
def test_a_progress_file_that_cannot_be_read_proves_nothing(outcome: Outcome) -> None:
    stage = Stage()
    stage.all_up()

    stage.post(ProgressRead(stage.at, stage.epoch(), outcome, age_seconds=999.0))

    assert not only(stage.tick(1.0), KillTree)


def test_every_short_history_of_health_answers() -> None:
    """Only three refusals with nothing but unknowns between end a worker whose engine moves."""
    for history in product("otru", repeat=6):
        stage = Stage()
        stage.up()
        ended = False
        run, expected = 0, False
        for letter in history:
            outcome = {"o": Outcome.OK, "t": Outcome.TIMEOUT, "r": Outcome.REFUSED}.get(letter)
            run = run + 1 if letter == "r" else run if letter == "u" else 0
            expected = expected or run == 3
            if stage.station() == "ready":
                stage.tick(0.5)
                done = stage.health("worker-0", "ready", outcome or Outcome.UNKNOWN)
                ended = ended or bool(only(done, KillTree))
        assert ended is expected, "".join(history)


def test_somebody_elses_health_answer_ends_it_uncounted() -> None:
    stage = Stage()
    stage.all_up()

    done = stage.health("worker-0", "", Outcome.FAILED)

    assert [report.counted for report in only(done, ReportDeath)] == [False]


def test_an_older_reading_than_the_newest_is_dropped() -> None:
    stage = Stage()
    stage.all_up()
    old = stage.at
    stage.tick(1.0)
    stage.progress("worker-0", "decode", 0.1)

    stage.post(ProgressRead(old, stage.epoch(), Outcome.OK, 5, "decode", 1, 99.0, "S"))

    assert not only(stage.tick(), KillTree)


def test_a_late_tick_discards_the_round_and_moves_deadlines() -> None:
    stage = Stage()
    stage.all_up()
    stage.ask()
    deadline = stage.generation().deadline
    hung = ProgressRead(stage.at + 60.0, stage.epoch("gateway"), Outcome.OK, 1, "", 0, 60.0, "T")
    stage.post(hung)
    stage.at += 60.0

    done = stage.post(Tick(stage.at, "0" * 32))

    assert not only(done, KillTree)
    assert deadline is not None
    assert stage.generation().deadline == deadline + 60.0
    assert stage.station() == "draining"


def test_a_phase_that_began_before_a_late_tick_gets_that_much_more_time() -> None:
    stage = Stage()
    stage.all_up()
    stage.at += 60.0
    stage.post(Tick(stage.at, "0" * 32))
    stage.tick(0.5)

    assert not stage.progress("worker-0", "decode", 61.0), "the whole machine stood still"
    stage.tick(8.5)
    assert only(stage.progress("worker-0", "decode", 69.5), KillTree)


def hang_and_recover(stage: Stage) -> None:
    stage.progress("worker-0", "decode", 50.0)
    stage.exit("worker-0", signal=9)
    stage.bury("worker-0")
    start_at = stage.slot().start_at
    stage.tick(0.0 if start_at is None else max(0.0, start_at - stage.at))
    stage.up()


def test_a_spent_budget_fails_open_pages_once_and_cures_slowly() -> None:
    stage = Stage()
    stage.all_up()
    for _ in range(3):
        hang_and_recover(stage)
        stage.tick(1.0)
    assert len(stage.slot().watchdog_restarts) == 3

    done = stage.progress("worker-0", "decode", 50.0) + stage.tick(30.0)
    assert not only(done, KillTree)
    assert stage.station() == "ready"
    assert stage.state.routes[0].open
    alerts = [alert for alert in only(done, Alert) if alert.key == "budget:worker-0"]
    assert [alert.severity for alert in alerts] == [Severity.CRITICAL]

    done = stage.tick(32.0)
    assert len(only(done, KillTree)) == 1, "a hung worker serves nobody: once per largest backoff"
    assert len(stage.slot().watchdog_restarts) == 3
    assert dict(stage.records("failure")[-1].evidence)["budget"] == "spent"


def test_a_worker_that_moves_again_is_left_alone_and_the_budget_refills() -> None:
    stage = Stage()
    stage.all_up()
    for _ in range(3):
        hang_and_recover(stage)
        stage.tick(1.0)
    stage.progress("worker-0", "decode", 50.0)
    stage.tick(10.0)

    stage.progress("worker-0", "decode", 0.1)
    done = stage.tick(3600.0)

    assert not only(done, KillTree)
    resolved = [alert for alert in only(done, Alert) if alert.key == "budget:worker-0"]
    assert [alert.resolved for alert in resolved] == [True]


def silence(stage: Stage, seconds: float, outcome: Outcome = Outcome.TIMEOUT) -> list[str]:
    done = []
    for _ in range(int(seconds / 2)):
        stage.tick(2.0)
        done += stage.post(HealthRead(stage.at, stage.epoch("gateway"), outcome))
        done += stage.tick()
    return names([effect for effect in done if isinstance(effect, KillTree)])


def test_a_silent_gateway_is_replaced_after_fifteen_seconds() -> None:
    stage = Stage()
    stage.all_up()

    assert silence(stage, 16.0) == []
    assert silence(stage, 2.0) == ["KillTree"]


def test_one_answer_or_one_blind_look_ends_the_silence() -> None:
    for outcome in (Outcome.OK, Outcome.UNKNOWN):
        stage = Stage()
        stage.all_up()
        assert silence(stage, 14.0) == []
        assert silence(stage, 2.0, outcome) == []
        assert silence(stage, 14.0) == []


def test_a_stopped_gateway_is_replaced_sooner() -> None:
    stage = Stage()
    stage.all_up()

    assert not stage.progress("gateway", "", 0.0, state="T")
    stage.tick(2.0)
    assert not stage.progress("gateway", "", 2.0, state="T")
    stage.tick(1.5)
    assert only(stage.progress("gateway", "", 3.5, state="T"), KillTree)
