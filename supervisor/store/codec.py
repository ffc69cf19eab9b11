"""Core values as JSON, and back. Monotonic times are carried over a reboot by way of the wall
clock.
"""

import json
import time
from dataclasses import asdict, dataclass, replace

from supervisor.core.model import (
    Cause,
    ExitReport,
    Generation,
    Identity,
    Phase,
    PhaseTime,
    Replacement,
    Slot,
    Want,
)


@dataclass(frozen=True, slots=True)
class Clock:
    """Which boot monotonic times belong to, and how far they are from the wall clock."""

    boot_id: str
    wall_offset_seconds: float
    """Wall time minus monotonic time."""


def clock_now(boot_id: str) -> Clock:
    """The clock of this boot."""
    return Clock(boot_id, time.time() - time.monotonic())


@dataclass(frozen=True, slots=True)
class SlotMemory:
    """What a slot remembers over a restart of the supervisor."""

    name: str
    want: Want
    generations: int
    crashes_in_row: int
    restarts: int
    watchdog_restarts: tuple[float, ...] = ()
    start_at: float | None = None
    broken: Cause | None = None
    failing: bool = False
    load_estimate_seconds: float | None = None
    replacement: Replacement | None = None


@dataclass(frozen=True, slots=True)
class ChildMemory:
    """What is known of a generation: at first only the intent, later its identity."""

    slot: str
    epoch: str
    number: int
    phase: Phase
    socket: str
    spawned_at: str
    identity: Identity | None = None
    ready_at: float | None = None
    end_cause: Cause | None = None
    """Why it was being ended, if it was."""
    exit: ExitReport | None = None
    """How it ended; known means that the death is accounted for in the slot's memory."""


def updated(child: ChildMemory, generation: Generation) -> ChildMemory:
    """What is known of a child after a step of the core."""
    return replace(
        child,
        phase=generation.phase,
        identity=generation.identity or child.identity,
        ready_at=generation.ready_at,
        end_cause=generation.end_cause,
        exit=generation.exit,
    )


def encode_ending(child: ChildMemory) -> str | None:
    """The end of a child as one column; None while nobody ended it and it has not died."""
    if child.end_cause is None and child.exit is None:
        return None
    how = None if child.exit is None else asdict(child.exit)
    return json.dumps({"end_cause": child.end_cause, "exit": how})


def decode_ending(text: str | None) -> tuple[Cause | None, ExitReport | None]:
    """Inverse of `encode_ending`; ValueError, KeyError or TypeError if damaged."""
    if text is None:
        return None, None
    data = json.loads(text)
    cause, how = data["end_cause"], data["exit"]
    return (
        None if cause is None else Cause(cause),
        None if how is None else ExitReport(**how),
    )


def encode_slot(slot: Slot, clock: Clock) -> str:
    """A slot without its generation, which has a row of its own."""
    return json.dumps(
        {
            "boot_id": clock.boot_id,
            "wall_offset_seconds": clock.wall_offset_seconds,
            "want": slot.want,
            "generations": slot.generations,
            "crashes_in_row": slot.crashes_in_row,
            "restarts": slot.restarts,
            "watchdog_restarts": slot.watchdog_restarts,
            "start_at": slot.start_at,
            "broken": slot.broken,
            "failing": slot.failing,
            "load_estimate_seconds": slot.load_estimate_seconds,
            "replacement": None if slot.replacement is None else asdict(slot.replacement),
        }
    )


def decode_slot(name: str, text: str, clock: Clock) -> SlotMemory:
    """Inverse of `encode_slot`, times moved to this boot; ValueError, KeyError, TypeError if
    damaged.
    """
    data = json.loads(text)
    shift = 0.0
    if data["boot_id"] != clock.boot_id:
        shift = float(data["wall_offset_seconds"]) - clock.wall_offset_seconds
    start_at, broken, replacement = data["start_at"], data["broken"], data["replacement"]
    return SlotMemory(
        name=name,
        want=Want(data["want"]),
        generations=int(data["generations"]),
        crashes_in_row=int(data["crashes_in_row"]),
        restarts=int(data["restarts"]),
        watchdog_restarts=tuple(float(at) + shift for at in data["watchdog_restarts"]),
        start_at=None if start_at is None else float(start_at) + shift,
        broken=None if broken is None else Cause(broken),
        failing=bool(data["failing"]),
        load_estimate_seconds=data["load_estimate_seconds"],
        replacement=None if replacement is None else _decode_replacement(replacement, shift),
    )


def _decode_replacement(data: "dict[str, object]", shift: float) -> Replacement:
    fields = dict(data)
    fields["cause"] = Cause(str(data["cause"]))
    fields["began_at"] = _number(data["began_at"]) + shift
    fields["phase_began_at"] = _number(data["phase_began_at"]) + shift
    fields["evidence"] = tuple((name, value) for name, value in _rows(data["evidence"]))
    fields["phases"] = tuple(PhaseTime(**row) for row in _rows(data["phases"]))
    return Replacement(**fields)  # type: ignore[arg-type]


def _number(value: object) -> float:
    if not isinstance(value, int | float):
        raise TypeError(f"{value!r} is no time")
    return float(value)


def _rows(value: object) -> list:  # type: ignore[type-arg]
    if not isinstance(value, list):
        raise TypeError(f"{value!r} is no list")
    return value
