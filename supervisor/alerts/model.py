"""What is said to receivers: one alert, and its JSON."""

import json
import os
import uuid
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Literal

_MAX_MESSAGE_BYTES = 32 * 1024

Severity = Literal["info", "warning", "critical"]
Status = Literal["firing", "resolved"]
Evidence = Mapping[str, str | int | float | bool | None]


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@dataclass(frozen=True, slots=True)
class Alert:
    """One piece of news. `key` names the trouble; `resolved` carries the key of its `firing`."""

    key: str
    severity: Severity
    status: Status
    title: str
    worker: str | None = None
    epoch: str | None = None
    cause: str | None = None
    evidence: Evidence = field(default_factory=dict)
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    """Receivers that see an id twice may drop the second: delivery is at least once."""
    at: str = field(default_factory=_now)
    """RFC 3339, UTC."""
    host: str = field(default_factory=lambda: os.uname().nodename)


def to_message(alert: Alert) -> str:
    """The JSON receivers get, at most 32 KiB: oversized evidence is left out and said so."""
    message = _dump(asdict(alert))
    if len(message.encode()) <= _MAX_MESSAGE_BYTES:
        return message
    shortened = {"evidence": {"left_out": "too large"}, "title": alert.title[:500]}
    return _dump(asdict(alert) | shortened)


def _dump(fields: dict[str, object]) -> str:
    text = json.dumps(fields, ensure_ascii=False)
    # Names of processes and files may hold bytes that are no UTF-8 (lone surrogates in Python).
    return text.encode("utf-8", "replace").decode()
