"""Five hundred requests leave nothing behind; `python -m benchmarks.soak` plays ten thousand."""

from __future__ import annotations

from benchmarks.soak import soak
from tests.unit.inference_engine import oracle


def test_many_requests_leave_nothing_behind() -> None:
    figures = soak(oracle.config(), 500)["figures"]
    assert figures["requests"] == 500
    assert abs(figures["rss_drift"]) < 0.01
    assert figures["kv_drift"] == 0
    assert figures["thread_growth"] == 0
    assert figures["descriptor_growth"] == 0
