"""docs/lifecycle.md, drawn from the transition table: `python -m supervisor.core.diagram`."""

import sys

from supervisor.core.table import TABLE, Move, Station, Trigger

HEADER = """# Lifecycle

Generated from `supervisor/core/table.py` by `python -m supervisor.core.diagram`; a test compares.

A **slot** is a place for one process, a worker or the gateway. A **generation** is one process in
it, known by its epoch. `backoff`, `broken` and `down` are slots without a generation. What the
operator wants (`up`, `down`, `paused`) and how healthy a generation looks are separate fields; only
this table moves a phase. What is not in it cannot happen: the simulation raises, production records
it as `ignored` and goes on.

What never happens, asserted at every step of every simulated run:

- two routable generations of one slot, or traffic on one whose warm-up answer was not checked;
- a signal without a verified identity, with the route still open, or without its reason in the
  journal first;
- a successor before every process of its predecessor is dead and its memory proved returned;
- a planned restart beside another one, a restart repeated by the next supervisor, a `RestartAsked`
  without exactly one answer;
- a verdict from a probe that could not look, from an old reading, or from a round in which the
  supervisor itself was late;
- more watchdog restarts of serving generations than the budget allows: a worker that hangs beyond
  it pages and keeps its traffic, and is replaced no sooner than the largest backoff after it became
  ready, since what hangs serves nobody.

A restart is told in these phases, those that apply: `decide`, `hold` (the route is closed and the
gateway has not confirmed it yet; again while the crash backoff runs), `drain`, `stop`, `gone`,
`memory returned`, `load`, `warm` (the worker's own; 0 seconds if it fell between two looks),
`verify` (the checked answer), `release`. Their seconds add up to `total_seconds`.
"""


def edges() -> dict[tuple[Station, Station], list[str]]:
    """Every change of station and what causes it, in the order of the table."""
    found: dict[tuple[Station, Station], list[str]] = {}
    for station, row in TABLE.items():
        for trigger, transition in row.items():
            for to in transition.to:
                found.setdefault((station, to), []).append(trigger.value)
    return found


def mermaid() -> str:
    """The table as a state diagram."""
    lines = ["stateDiagram-v2", "    [*] --> backoff", "    [*] --> down"]
    for (start, end), causes in edges().items():
        lines.append(f"    {start.value} --> {end.value}: {', '.join(causes)}")
    return "\n".join(lines)


def moves_table() -> str:
    """The table with its moves, one row per station; `-`: cannot happen."""
    lines = ["| | " + " | ".join(trigger.value for trigger in Trigger) + " |"]
    lines.append("|---" * (len(Trigger) + 1) + "|")
    for station, row in TABLE.items():
        cells = []
        for trigger in Trigger:
            transition = row.get(trigger)
            cells.append("-" if transition is None else transition.move.value)
        lines.append(f"| **{station.value}** | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def page() -> str:
    """The whole page."""
    return (
        f"{HEADER}\n```mermaid\n{mermaid()}\n```\n\n"
        f"## What each phase does about what happens\n\n"
        f"`{Move.IGNORE.value}`: it may happen there and means nothing. `-`: it cannot happen.\n\n"
        f"{moves_table()}\n"
    )


if __name__ == "__main__":
    sys.stdout.write(page())
