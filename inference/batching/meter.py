"""What the engine thread measures: written by it alone, read by anybody, without a lock."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager

STEP_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of the buckets, from a decode step on a GPU to a long prompt on a CPU."""


class Histogram:
    """Counts of durations by upper bound, as Prometheus means it."""

    def __init__(self, bounds: tuple[float, ...] = STEP_SECONDS) -> None:
        self.bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self.sum_seconds = 0.0

    def observe(self, seconds: float) -> None:
        """Count one duration; on one thread only."""
        self._counts[bisect_left(self.bounds, seconds)] += 1
        self.sum_seconds += seconds

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Observe how long the block takes, if it succeeds."""
        began = time.monotonic()
        yield
        self.observe(time.monotonic() - began)

    def cumulative(self) -> list[int]:
        """Durations up to each bound, then all; consistent in itself at any moment."""
        total, found = 0, []
        for count in list(self._counts):
            total += count
            found.append(total)
        return found


class EngineMeter:
    """Durations of the engine's calls, and the tokens they brought."""

    def __init__(self) -> None:
        self.vision = Histogram()
        self.prefill = Histogram()
        self.decode = Histogram()
        self.tokens = 0
        """Tokens generated; those of an earlier attempt do not count."""
