from __future__ import annotations

import pytest

from inference.batching.meter import Histogram


def test_buckets_are_cumulative_and_bounds_belong_to_them() -> None:
    histogram = Histogram((0.1, 1.0))
    for seconds in (0.05, 0.1, 0.5, 7.0):
        histogram.observe(seconds)
    assert histogram.cumulative() == [2, 3, 4]
    assert histogram.sum_seconds == pytest.approx(7.65)


def test_what_failed_is_not_measured() -> None:
    histogram = Histogram()
    with histogram.timed():
        pass
    with pytest.raises(KeyError), histogram.timed():
        raise KeyError
    assert histogram.cumulative()[-1] == 1
