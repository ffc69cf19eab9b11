"""What happened. Every event says when (`at`, monotonic seconds); news of a child has its epoch.

Late or doubled news of a dead epoch is dropped by the machine, so whoever posts events need not be
careful, only honest.
"""

from dataclasses import dataclass
from enum import StrEnum

from supervisor.core.model import Cause, ExitReport, Identity, Phase, Replacement, Want


class Outcome(StrEnum):
    """Result of looking at something. `unknown` never counts as failed."""

    OK = "ok"
    REFUSED = "refused"
    """Nobody listens: dead, or not there yet."""
    TIMEOUT = "timeout"
    """No answer in time: busy, until progress says otherwise."""
    FAILED = "failed"
    """A wrong answer, such as the wrong epoch."""
    UNKNOWN = "unknown"
    """The look itself failed."""


@dataclass(frozen=True, slots=True)
class Remembered:
    """A slot's memory from the journal, posted before anything is adopted or started."""

    at: float
    slot: str
    want: Want
    generations: int
    crashes_in_row: int
    restarts: int
    watchdog_restarts: tuple[float, ...]
    replacement: Replacement | None = None
    """An unfinished restart of a slot that had no generation just then."""
    broken: Cause | None = None
    start_at: float | None = None
    failing: bool = False
    load_estimate_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Adopted:
    """A living child of an earlier supervisor was found and its identity verified."""

    at: float
    slot: str
    epoch: str
    number: int
    identity: Identity
    phase: Phase
    """The last phase the journal knows; READY also when the journal says it served before."""
    ready_at: float | None = None
    replacement: Replacement | None = None
    """The unfinished restart it was part of, if any."""
    end_cause: Cause | None = None
    """Why the last supervisor was ending it, as its remembered generation has it."""


@dataclass(frozen=True, slots=True)
class FoundDead:
    """A child of an earlier supervisor that the journal has as alive is gone."""

    at: float
    slot: str
    epoch: str
    number: int
    exit: ExitReport
    was_ready: bool
    """It had reached READY, also when it was draining or stopping at last."""
    replacement: Replacement | None = None
    """The unfinished restart it was part of, if any: it is finished, not repeated."""
    identity: Identity | None = None
    """What it was, so that the rest of its tree can be killed; None: it never got so far."""
    accounted: bool = False
    """The journal has its exit already: the crash is counted in the slot's memory."""
    end_cause: Cause | None = None
    """Why the last supervisor was ending it, as its remembered generation has it."""


@dataclass(frozen=True, slots=True)
class Booted:
    """All leftovers are reported; from now on missing processes are started."""

    at: float
    term: int


@dataclass(frozen=True, slots=True)
class Tick:
    """Time passed. The runtime posts one per period and one after every batch of other events."""

    at: float
    entropy: str
    """32 fresh random hex digits: epochs, decision names and jitter are derived from it."""


@dataclass(frozen=True, slots=True)
class Spawned:
    """The process exists."""

    at: float
    epoch: str
    identity: Identity


@dataclass(frozen=True, slots=True)
class SpawnFailed:
    """The process could not be started."""

    at: float
    epoch: str
    error: str


@dataclass(frozen=True, slots=True)
class HealthRead:
    """Answer to a health request (a worker's /health, the gateway's control state)."""

    at: float
    epoch: str
    outcome: Outcome
    status: str = ""
    """The child's own word: loading, warming, ready, draining, stopping."""


@dataclass(frozen=True, slots=True)
class ProgressRead:
    """One look at a worker's progress file."""

    at: float
    epoch: str
    outcome: Outcome
    step: int = 0
    phase: str = ""
    size: int = 0
    age_seconds: float = 0.0
    """How long the current phase (this step of it) has been going on."""
    process_state: str = ""
    """Letter from /proc/PID/stat: R, S, D, T, Z."""


@dataclass(frozen=True, slots=True)
class WarmUpDone:
    """The supervisor's own warm-up request was answered and the answer checked, or not."""

    at: float
    epoch: str
    ok: bool
    detail: str


@dataclass(frozen=True, slots=True)
class Exited:
    """The main process is dead (its pidfd became readable)."""

    at: float
    epoch: str
    exit: ExitReport


@dataclass(frozen=True, slots=True)
class TreeGone:
    """Every process of the generation is dead."""

    at: float
    epoch: str


@dataclass(frozen=True, slots=True)
class MemoryRead:
    """Result of looking whether the dead generation's device memory came back."""

    at: float
    epoch: str
    outcome: Outcome
    detail: str


@dataclass(frozen=True, slots=True)
class InFlightRead:
    """Requests the gateway has running on an epoch; for its own epoch: all it holds and runs."""

    at: float
    epoch: str
    count: int


@dataclass(frozen=True, slots=True)
class RestartAsked:
    """Somebody wants a worker replaced."""

    at: float
    slot: str
    decision: str
    cause: Cause
    reason: str
    actor: str


@dataclass(frozen=True, slots=True)
class StopAsked:
    """Stop everything; a second one skips the drain."""

    at: float
    drain: bool
    reason: str


Event = (
    Remembered
    | Adopted
    | FoundDead
    | Booted
    | Tick
    | Spawned
    | SpawnFailed
    | HealthRead
    | ProgressRead
    | WarmUpDone
    | Exited
    | TreeGone
    | MemoryRead
    | InFlightRead
    | RestartAsked
    | StopAsked
)
