"""The loss of a run as a picture."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _EDGE = 720, 360, 56, 40, 16
_COLOURS = {"vision tower": "#b35900", "whole model": "#0b5cad"}


def loss_plot(records: Sequence[Mapping[str, float]]) -> str:
    """An SVG of loss (logarithmic) over minutes from the records of a run's log."""
    series = {
        "vision tower": [_point(record) for record in records if "vision_step" in record],
        "whole model": [_point(record) for record in records if "step" in record],
    }
    points = [point for line in series.values() for point in line]
    if not points:
        return _svg(['<text x="20" y="30">no steps yet</text>'])
    last = max(minutes for minutes, _ in points) or 1.0
    low = math.floor(min(loss for _, loss in points))
    high = max(low + 1, math.ceil(max(loss for _, loss in points)))

    def x(minutes: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _EDGE) * minutes / last

    def y(loss: float) -> float:
        return _EDGE + (_HEIGHT - _BOTTOM - _EDGE) * (high - loss) / (high - low)

    parts: list[str] = []
    for power in range(low, high + 1):
        parts.append(
            f'<line x1="{_LEFT}" x2="{_WIDTH - _EDGE}" y1="{y(power):.1f}" y2="{y(power):.1f}" '
            'stroke="#ddd"/>'
        )
        parts.append(
            f'<text x="{_LEFT - 8}" y="{y(power) + 4:.1f}" text-anchor="end">{10.0**power:g}</text>'
        )
    parts.append(
        f'<text x="{_WIDTH - _EDGE}" y="{_HEIGHT - 12}" text-anchor="end">{last:.1f} minutes</text>'
    )
    for place, (name, line) in enumerate(series.items()):
        path = " ".join(f"{x(minutes):.1f},{y(loss):.1f}" for minutes, loss in line)
        colour = _COLOURS[name]
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}"/>')
        parts.append(
            f'<text x="{_LEFT + 140 * place}" y="{_HEIGHT - 12}" fill="{colour}">{name}</text>'
        )
    return _svg(parts)


def _point(record: Mapping[str, float]) -> tuple[float, float]:
    return record["seconds"] / 60, math.log10(max(record["loss"], 1e-6))


def _svg(parts: Sequence[str]) -> str:
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{_HEIGHT}" '
        'font-family="sans-serif" font-size="12">'
    )
    return "\n".join([head, *parts, "</svg>", ""])
