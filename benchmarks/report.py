"""What all benchmarks say alike: the machine, quantiles, ratios, and the JSON."""

from __future__ import annotations

import json
import os
import platform
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict

Run = dict[str, object]


class Report(TypedDict):
    """What a benchmark prints."""

    machine: dict[str, object]
    figures: dict[str, float]
    runs: list[Run]


def machine() -> dict[str, object]:
    """What the figures were measured on."""
    models = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    return {
        "cores": os.cpu_count(),
        "cpu": models[0] if models else platform.processor(),
        "load_1min": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "system": platform.system(),
    }


def say(message: str) -> None:
    """Progress, for people."""
    print(message, file=sys.stderr, flush=True)


def emit(report: Report, as_json: bool) -> None:
    """Print a report: for programs in one line, else for people."""
    print(json.dumps(report, indent=None if as_json else 2))


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest of the values that `share` of them do not exceed."""
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, int(share * len(ranked)))]


def median_ratio(pairs: Sequence[tuple[float, float]]) -> float:
    """Median of first / second over repetitions that took turns."""
    return round(statistics.median(one / other for one, other in pairs), 3)


def rss_bytes() -> int:
    """Resident memory of this process now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
