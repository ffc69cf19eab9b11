"""Poison, deadlines, admission, counters and the steps after an attempt."""

import pytest

from supervisor.gateway.admission import Admission, DrainRate
from supervisor.gateway.counters import MAX_CODES, Counters
from supervisor.gateway.deadlines import ServiceTime
from supervisor.gateway.errors import Problem, problem
from supervisor.gateway.poison import Suspicion
from supervisor.gateway.record import Pace
from supervisor.gateway.steps import (
    Complete,
    Cut,
    Expired,
    Fenced,
    Lost,
    Mismatch,
    Outcome,
    Refused,
    Then,
    Tries,
    Unreachable,
)


def refused(status: int) -> Refused:
    return Refused(Problem(status, "code", "title", "detail"))


def test_two_counted_deaths_make_a_request_run_alone_and_the_third_condemns() -> None:
    suspicion = Suspicion()
    seen = []
    for epoch in ("a", "b", "c"):
        suspicion.lost(epoch, suspicion.alone)
        suspicion.settle({epoch: True}, 0)
        seen.append((suspicion.alone, suspicion.condemned))
    assert seen == [(False, False), (True, False), (True, True)]


def test_uncounted_deaths_and_missing_verdicts_weigh_nothing_until_they_come() -> None:
    suspicion = Suspicion()
    suspicion.lost("a", False)
    suspicion.lost("b", False)
    suspicion.settle({"a": False}, 0)
    assert suspicion.deaths == 0
    suspicion.settle({"a": True, "b": True}, 0)  # b's verdict came late, a is settled
    assert suspicion.deaths == 1
    assert suspicion.unsettled == []


def test_sixty_four_new_tokens_clear() -> None:
    suspicion = Suspicion()
    for epoch in ("a", "b"):
        suspicion.lost(epoch, False)
    suspicion.settle({"a": True, "b": True}, 100)
    seen = [(suspicion.progress(tokens), suspicion.alone) for tokens in (163, 164, 300)]
    assert seen == [(False, True), (True, False), (False, False)]


def test_service_time_is_carried_over_attempts() -> None:
    service = ServiceTime(left_seconds=10.0)
    assert service.start(20.0) == 30.0
    service.stop(26.0)
    service.stop(29.0)  # a second stop counts nothing
    assert service.start(50.0) == 54.0


def test_a_gap_runs_from_the_last_movement_to_the_next_token() -> None:
    pace = Pace(0.0)
    pace.started(1.0)
    assert pace.moved(2.0) == 0.0
    pace.interrupted()
    pace.started(5.0)
    pace.interrupted()  # lost again before any token
    assert pace.moved(9.0) == 7.0
    assert pace.moved(10.0) == 0.0


def test_admission_keeps_its_bounds() -> None:
    admission = Admission(max_waiting=2, max_bytes=10)
    assert admission.reserve(6)
    assert not admission.reserve(5)
    assert admission.reserve(4)
    admission.release(10)
    assert admission.bytes_kept == 0
    assert [admission.may_wait(count) for count in (0, 1, 2)] == [True, True, False]


def test_retry_after_follows_the_measured_rate() -> None:
    rate = DrainRate()
    assert rate.retry_after_seconds(10, 0.0, None) == 5
    assert rate.retry_after_seconds(10, 0.0, 30.0) == 30
    for second in range(10):
        rate.note(float(second))
    assert rate.per_second(10.0) == 1.0
    assert rate.retry_after_seconds(19, 10.0, 0.0) == 20
    assert rate.retry_after_seconds(19, 10.0, 12.5) == 33
    assert rate.retry_after_seconds(0, 10.0, 0.0) == 1
    assert rate.retry_after_seconds(10_000, 10.0, 0.0) == 60
    assert rate.per_second(1000.0) is None


def test_codes_are_counted_within_bounds() -> None:
    counters = Counters()
    for number in range(MAX_CODES + 5):
        counters.fail(f"code {number}")
    assert len(counters.failed) == MAX_CODES + 1
    assert counters.failed["other"] == 5
    counters.gap(2.0)
    counters.gap(1.0)
    assert counters.longest_gap_seconds == 2.0


@pytest.mark.parametrize(
    ("outcome", "then"),
    [
        (Complete(), Then.FINISH),
        (Expired(), Then.FAIL),
        (Unreachable("x"), Then.AGAIN),
        (Lost("x"), Then.AGAIN),
        (Fenced("x"), Then.AGAIN),
        (Cut(), Then.AGAIN),
        (Mismatch(), Then.RESTART),
        (refused(429), Then.AGAIN),
        (refused(503), Then.AGAIN),
        (refused(422), Then.FAIL),
        (refused(404), Then.FAIL),
        (refused(413), Then.FAIL),
        (refused(504), Then.FAIL),
        (refused(500), Then.AGAIN),
    ],
)
def test_the_step_after_each_outcome(outcome: Outcome, then: Then) -> None:
    assert Tries(8).next_step(outcome, condemned=False).then is then


def code_of(tries: Tries, outcome: Outcome, *, condemned: bool = False) -> str | None:
    failure = tries.next_step(outcome, condemned=condemned).problem
    return None if failure is None else failure.code


def test_tries_are_bounded_but_moves_by_the_supervisor_are_free() -> None:
    tries = Tries(3)
    for _ in range(20):
        assert code_of(tries, Cut()) is None
        assert code_of(tries, Unreachable("x")) is None
        assert code_of(tries, refused(429)) is None
    assert [code_of(tries, Lost("x")) for _ in range(3)] == [None, None, "worker_lost"]


def test_a_living_worker_may_fail_a_request_three_times() -> None:
    tries = Tries(8)
    assert [code_of(tries, refused(500)) for _ in range(3)] == [None, None, "code"]


def test_without_replay_or_when_condemned_a_loss_is_the_end() -> None:
    assert code_of(Tries(8, replay=False), Lost("x")) == "worker_lost"
    assert code_of(Tries(8, replay=False), Unreachable("x")) is None
    assert code_of(Tries(8), Lost("x"), condemned=True) == "poison_request"
    assert code_of(Tries(8), Complete(), condemned=True) is None


def test_a_problem_unknown_to_the_table_is_a_programming_error() -> None:
    with pytest.raises(KeyError):
        problem("nonsense", "x")
