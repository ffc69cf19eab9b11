"""What the page shows, worked out from the status object and the events; pure values.

Both come from `docs/wire.md` section 6 and may grow members: what is missing here is left out of
the page, never an error.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

Row = Mapping[str, object]
Tone = Literal["good", "busy", "bad", "idle"]

STEPS = ("drain", "stop", "memory returned", "load", "warm", "verify")
_STEP_OF_PHASE = {
    "decide": 0,
    "hold": 0,
    "drain": 0,
    "stop": 1,
    "gone": 1,
    "memory returned": 2,
    "load": 3,
    "warm": 4,
    "verify": 5,
    "release": 5,
}
_STEP_OF_STATE = {
    "draining": 0,
    "stopping": 1,
    "killing": 1,
    "gone": 2,
    "reclaimed": 3,
    "spawned": 3,
    "loading": 3,
    "warming": 4,
}
_TONE_OF_STATE: dict[str, Tone] = {
    "ready": "good",
    "serving": "good",
    "degraded": "bad",
    "broken": "bad",
    "backoff": "bad",
    "down": "idle",
}
_QUIET_CAUSES = ("", "operator", "shutdown")
_GOOD_KINDS = ("started", "adopted", "restart")
_HISTORY = 20


@dataclass(frozen=True, slots=True)
class Notice:
    """What became of the last form: `accepted`, `denied` or `reason`."""

    kind: Literal["accepted", "denied", "reason"]
    worker: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Phase:
    """One phase of a past restart; `start` and `share` are percents of the whole."""

    name: str
    seconds: float
    start: float
    share: float


@dataclass(frozen=True, slots=True)
class Event:
    """One line of the journal."""

    id: str
    at: str
    kind: str
    worker: str
    cause: str
    reason: str
    evidence: tuple[tuple[str, str], ...]
    phases: tuple[Phase, ...]

    @property
    def tone(self) -> Tone:
        """How the event is coloured: people ask for restarts, faults cause them."""
        if self.cause in _QUIET_CAUSES:
            return "good" if self.kind in _GOOD_KINDS else "idle"
        return "bad"

    @property
    def seconds(self) -> float:
        """Duration of all phases together."""
        return sum(phase.seconds for phase in self.phases)


@dataclass(frozen=True, slots=True)
class Worker:
    """One card."""

    name: str
    state: str
    tone: Tone
    epoch: str
    generation: str
    pid: str
    since_seconds: float | None
    restarts: int
    want: str
    in_flight: int | None
    step: int | None
    """Index into STEPS of the running replacement; None when there is none."""
    last_restart: Event | None
    pauses: tuple[float, ...]
    """Durations of this worker's past restarts, in seconds, newest first."""

    @property
    def expected_pause_seconds(self) -> float | None:
        """Median of the past restarts."""
        return median(self.pauses) if self.pauses else None


@dataclass(frozen=True, slots=True)
class Overview:
    """The page."""

    state: str
    tone: Tone
    uptime_seconds: float
    version: str
    term: str
    pid: str
    gateway_url: str
    in_flight: int | None
    held: int | None
    workers: tuple[Worker, ...]
    events: tuple[Event, ...]
    """Newest first."""

    @property
    def ready(self) -> int:
        """Workers that take requests."""
        return sum(worker.state == "ready" for worker in self.workers)

    @property
    def restarts(self) -> int:
        """Restarts of all workers together."""
        return sum(worker.restarts for worker in self.workers)


def overview(status: Row, events: Sequence[Row]) -> Overview:
    """Everything on the page; `events` are oldest first, as the port gives them."""
    newest = tuple(_event(row) for row in reversed(events))
    gateway = _mapping(status.get("gateway"))
    in_flight = gateway.get("in_flight")
    by_epoch = _mapping(in_flight)
    state = _text(status.get("state"))
    return Overview(
        state=state,
        tone=_TONE_OF_STATE.get(state, "busy"),
        uptime_seconds=_number(status.get("uptime_seconds")) or 0.0,
        version=_text(status.get("version")),
        term=_text(status.get("term")),
        pid=_text(status.get("pid")),
        gateway_url=_text(gateway.get("url")),
        in_flight=_count(sum(_numbers(by_epoch)) if by_epoch else in_flight),
        held=_count(gateway.get("held")),
        workers=tuple(_worker(row, by_epoch, newest) for row in _rows(status.get("workers"))),
        events=newest,
    )


def _worker(row: Row, by_epoch: Row, events: tuple[Event, ...]) -> Worker:
    name, state, epoch = (_text(row.get(key)) for key in ("name", "state", "epoch"))
    restarts = [event for event in events if event.worker == name and _is_restart(event)]
    return Worker(
        name=name,
        state=state,
        tone=_TONE_OF_STATE.get(state, "busy"),
        epoch=epoch[:8],
        generation=_text(row.get("generation")),
        pid=_text(row.get("pid")),
        since_seconds=_number(row.get("since_seconds")),
        restarts=_count(row.get("restarts")) or 0,
        want=_text(row.get("want")),
        in_flight=_count(row.get("in_flight", by_epoch.get(epoch))),
        step=_STEP_OF_PHASE.get(_text(row.get("phase")), _STEP_OF_STATE.get(state)),
        last_restart=restarts[0] if restarts else None,
        pauses=tuple(event.seconds for event in restarts[:_HISTORY]),
    )


def _is_restart(event: Event) -> bool:
    """A complete replacement: it has phases, and one of them loaded the successor."""
    return any(phase.name == "load" for phase in event.phases)


def _event(row: Row) -> Event:
    evidence = _mapping(row.get("evidence"))
    return Event(
        id=_text(row.get("id")),
        at=_text(row.get("at")),
        kind=_text(row.get("kind")),
        worker=_text(row.get("worker")),
        cause=_text(row.get("cause")),
        reason=_text(row.get("reason")),
        evidence=tuple((str(key), _text(value)) for key, value in evidence.items()),
        phases=_phases(_rows(row.get("phases"))),
    )


def _phases(rows: Sequence[Row]) -> tuple[Phase, ...]:
    named = [(_text(row.get("name")), _number(row.get("seconds")) or 0.0) for row in rows]
    total = sum(seconds for _, seconds in named) or 1.0
    phases: list[Phase] = []
    start = 0.0
    for name, seconds in named:
        share = 100 * seconds / total
        phases.append(Phase(name, seconds, start, share))
        start += share
    return tuple(phases)


def _rows(value: object) -> list[Row]:
    return [row for row in value if isinstance(row, Mapping)] if isinstance(value, list) else []


def _mapping(value: object) -> Row:
    return value if isinstance(value, Mapping) else {}


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.4g}"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _number(value: object) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number else None  # type: ignore[arg-type]


def _numbers(values: Row) -> list[float]:
    return [number for number in map(_number, values.values()) if number is not None]


def _count(value: object) -> int | None:
    number = _number(value)
    return None if number is None else int(number)
