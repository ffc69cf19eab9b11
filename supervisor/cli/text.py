"""How tables, durations and events look on a terminal."""

import sys
from collections.abc import Mapping, Sequence
from unicodedata import east_asian_width

Row = Mapping[str, object]


def table(rows: Sequence[Sequence[str]]) -> str:
    """Rows in aligned columns; the last column is left ragged. Wide characters count as two."""
    widths = [max(map(width, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(
            cell + " " * (size - width(cell)) for cell, size in zip(row, widths, strict=True)
        ).rstrip()
        for row in rows
    ]
    return "\n".join(lines)


def width(text: str) -> int:
    """Columns a text takes on a terminal."""
    return sum(2 if east_asian_width(character) in "WF" else 1 for character in text)


def duration(seconds: object) -> str:
    """`0.3s`, `42s`, `3m10s`, `5h02m`, `2d03h`; `-` for what is no number."""
    if isinstance(seconds, bool) or not isinstance(seconds, int | float):
        return "-"
    if seconds < 10:
        return f"{max(0.0, seconds):.1f}s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    if whole < 86400:
        return f"{whole // 3600}h{whole // 60 % 60:02d}m"
    return f"{whole // 86400}d{whole // 3600 % 24:02d}h"


def cell(value: object) -> str:
    """A value for a table; control characters of foreign texts are made harmless."""
    text = "-" if value is None or value == "" else str(value)
    return "".join(character if character.isprintable() else " " for character in text)


def event_line(event: Row) -> str:
    """One event in one line: time, worker, kind, cause, reason, phases."""
    parts = [cell(event.get("at")), cell(event.get("worker")), cell(event.get("kind"))]
    if event.get("cause"):
        parts.append(f"[{cell(event['cause'])}]")
    if event.get("reason"):
        parts.append(cell(event["reason"]))
    phases = event.get("phases")
    if isinstance(phases, list) and phases:
        named = [row for row in phases if isinstance(row, Mapping)]
        told = ", ".join(f"{cell(row.get('name'))} {duration(row.get('seconds'))}" for row in named)
        parts.append(f"({told})")
    return "  ".join(parts)


def say(text: str) -> None:
    """Chatter goes to standard error, so that standard output stays data."""
    print(text, file=sys.stderr, flush=True)
