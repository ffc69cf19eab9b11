import pytest

from supervisor.core.backoff import delay_seconds, geometric_seconds
from supervisor.core.policy import Backoff


def test_formula_gives_the_values_measured_on_systemd() -> None:
    delays = [geometric_seconds(n, 2.0, 120.0, 5) for n in range(1, 8)]

    assert delays == pytest.approx([2.0, 4.54, 10.29, 23.33, 52.91, 120.0, 120.0], abs=0.01)


def test_default_policy_reaches_its_maximum_after_its_steps() -> None:
    policy = Backoff(jitter=0.0)

    delays = [delay_seconds(crashes, True, "e", policy) for crashes in range(1, 10)]

    assert delays == pytest.approx([0, 1.0, 1.98, 3.91, 7.75, 15.33, 30.32, 60.0, 60.0], abs=0.01)


def test_first_crash_of_what_never_served_waits() -> None:
    policy = Backoff(jitter=0.0)

    assert delay_seconds(1, True, "e", policy) == 0.0
    assert delay_seconds(1, False, "e", policy) == 1.0


def test_jitter_stays_in_its_band_and_depends_on_the_epoch_only() -> None:
    policy = Backoff(first_seconds=10.0, jitter=0.2)

    delays = [delay_seconds(2, True, f"epoch {n}", policy) for n in range(500)]

    assert all(8.0 <= delay < 12.0 for delay in delays)
    assert min(delays) < 8.4
    assert max(delays) > 11.6
    assert delays == [delay_seconds(2, True, f"epoch {n}", policy) for n in range(500)]
