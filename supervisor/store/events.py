"""One event of the journal in the form of docs/wire.md section 6, and its row."""

import json
from datetime import UTC, datetime

from supervisor.core.effects import Record

Event = dict[str, object]
Row = tuple[int, str, str, str | None, str | None, str | None, str, str, str]

COLUMNS = "id, at, kind, worker, epoch, cause, reason, evidence, phases"


def wall_now() -> str:
    """RFC 3339, UTC, milliseconds: a label, never a reason for anything."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def event_of(record: Record, number: int) -> Event:
    """The event an operator reads; the decision's name goes with the evidence."""
    evidence = dict(record.evidence)
    if record.decision:
        evidence["decision"] = record.decision
    return {
        "id": number,
        "at": wall_now(),
        "kind": record.kind,
        "worker": record.slot or None,
        "epoch": record.epoch or None,
        "cause": None if record.cause is None else str(record.cause),
        "reason": record.reason,
        "evidence": evidence,
        "phases": [
            {"name": phase.name, "seconds": round(phase.seconds, 3)} for phase in record.phases
        ],
    }


def row_of(event: Event) -> tuple[object, ...]:
    """The event as a row in the order of COLUMNS."""
    *plain, evidence, phases = event.values()
    return (*plain, json.dumps(evidence), json.dumps(phases))


def event_from(row: Row) -> Event:
    """Inverse of `row_of`."""
    names = COLUMNS.split(", ")
    event: Event = dict(zip(names, row, strict=True))
    event["evidence"] = json.loads(row[7])
    event["phases"] = json.loads(row[8])
    return event
