"""Values of the lifecycle core: phases, identities, slots and the whole state.

A **slot** is a place for one process (a worker or the gateway). A **generation** is one process in
it, known by its epoch. What the operator wants, what phase a generation is in and how healthy it
looks are three separate fields.
"""

from dataclasses import dataclass, field
from enum import StrEnum

Evidence = tuple[tuple[str, str | float | int | bool | None], ...]
"""Names and values an operator reads as the reason of a decision."""


class Kind(StrEnum):
    """What a slot runs."""

    WORKER = "worker"
    GATEWAY = "gateway"


class Phase(StrEnum):
    """Life of a generation, in order. A slot without a generation is down, in backoff or broken."""

    SPAWNED = "spawned"
    LOADING = "loading"
    WARMING = "warming"
    READY = "ready"
    DRAINING = "draining"
    STOPPING = "stopping"
    KILLING = "killing"
    GONE = "gone"
    RECLAIMED = "reclaimed"


class Want(StrEnum):
    """Operator intent for a slot; survives crashes and restarts of everything."""

    UP = "up"
    DOWN = "down"
    PAUSED = "paused"


class Cause(StrEnum):
    """Why a generation ended or a restart was decided."""

    OPERATOR = "operator"
    CRASH = "crash"
    """It died by itself: SIGSEGV, SIGABRT, SIGBUS, or a non-zero exit."""
    KILLED = "killed"
    """A signal from outside that nobody here sent and nothing explains."""
    HANG = "hang"
    TEMPORARY = "temporary"
    """Exit 75: it asked to be started again."""
    CONFIGURATION = "configuration"
    """Exit 78 or 64: starting it again cannot help."""
    OUT_OF_MEMORY = "out_of_memory"
    LOAD_TIMEOUT = "load_timeout"
    WARM_FAILED = "warm_failed"
    SPAWN_FAILED = "spawn_failed"
    EXITED = "exited"
    """Exit 0 that nobody here asked for."""
    SHUTDOWN = "shutdown"


@dataclass(frozen=True, slots=True)
class Identity:
    """A process that cannot be mistaken for another one: a bare pid may be reused."""

    boot_id: str
    pid: int
    start_ticks: int
    """Field 22 of /proc/PID/stat, in clock ticks since boot."""


@dataclass(frozen=True, slots=True)
class ExitReport:
    """How a process ended, as far as anybody can know."""

    code: int | None = None
    """Exit status; None when it is not our child or was killed by a signal."""
    signal: int | None = None
    reported: str | None = None
    """Reason from its exit.json; None: it wrote none, so a signal or a crash."""
    out_of_memory: bool = False
    """Evidence (kernel log, cgroup counter) that the OOM killer did it."""


@dataclass(frozen=True, slots=True)
class PhaseTime:
    """One phase of a replacement as the operator reads it, with its duration in seconds."""

    name: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Replacement:
    """One restart from its decision to the release of traffic."""

    decision: str
    """Stable identifier of the decision (hex), the key of its record in the journal."""
    cause: Cause
    reason: str
    actor: str
    evidence: Evidence
    old_epoch: str | None
    began_at: float
    phase_name: str
    """The operator's name of the phase now under way: decide, hold, drain, stop, gone, ..."""
    phase_began_at: float
    phases: tuple[PhaseTime, ...] = ()


@dataclass(frozen=True, slots=True)
class Suspicion:
    """A finding that a generation cannot serve; judged at the next tick that is not late."""

    source: str
    """The probe that found it (`progress` or `health`): only the same probe can clear it."""
    reason: str
    evidence: Evidence
    counted: bool
    """Whether such a death weighs against the requests it had."""


@dataclass(frozen=True, slots=True)
class Generation:
    """One process of a slot, from the intent to start it until its memory is proved returned."""

    epoch: str
    number: int
    phase: Phase
    entered_at: float
    """Monotonic time at which the phase began."""
    deadline: float | None
    """Monotonic time at which the phase is overdue; None only in READY and RECLAIMED."""
    identity: Identity | None = None
    adopted: bool = False
    ready_at: float | None = None
    exit: ExitReport | None = None
    end_cause: Cause | None = None
    """Why it is being ended, set by the first decision to end it."""
    signals_sent: bool = False
    """We signalled it: its death is ours and counts against no request."""
    health_failures: int = 0
    overdue_alerted: bool = False
    last_step: int = -1
    in_flight: int | None = None
    """Requests the gateway has on it; None: not known."""
    began_at: float | None = None
    """Monotonic time of the intent to start it; None when adopted."""
    tree_gone: bool = False
    """Every process of it is known to be dead."""
    asked_at: float | None = None
    """Monotonic time at which the world was last asked whether it, or its memory, is gone."""
    silent_since: float | None = None
    """Monotonic time since which every health request to the gateway timed out."""
    health_at: float | None = None
    """Monotonic time at which the newest health reading was taken; older ones are dropped."""
    progress_at: float | None = None
    """The same of progress readings."""
    engine_phase: str = ""
    """Phase of its engine at the last look, such as `decode`."""
    process_state: str = ""
    """Letter of /proc/PID/stat at the last look."""
    suspicion: Suspicion | None = None


@dataclass(frozen=True, slots=True)
class Slot:
    """A place for one process, with everything that outlives its generations."""

    name: str
    kind: Kind
    want: Want = Want.UP
    generation: Generation | None = None
    generations: int = 0
    """Number of the newest generation."""
    crashes_in_row: int = 0
    start_at: float | None = None
    """Monotonic time before which no successor is started (backoff); None: at once."""
    broken: Cause | None = None
    """Starting it again cannot help by itself; retried at `start_at`."""
    replacement: Replacement | None = None
    restarts: int = 0
    watchdog_restarts: tuple[float, ...] = ()
    """Monotonic times of watchdog restarts within the last day: the budget."""
    budget_alerted: bool = False
    failing: bool = False
    """A failure alert is open; it is resolved when a generation is READY again."""
    load_estimate_seconds: float | None = None
    """Seconds the last start took from the intent to READY; None: never measured."""


@dataclass(frozen=True, slots=True)
class State:
    """All the core knows. `routes` is what the gateway was last told."""

    slots: tuple[Slot, ...]
    term: int = 0
    booted: bool = False
    last_tick_at: float | None = None
    stopping: bool = False
    skip_drain: bool = False
    stop_reason: str = ""
    routes: tuple["Route", ...] = ()
    queue: tuple[str, ...] = field(default=())
    """Slots waiting for their turn in a rolling restart."""
    late: tuple[tuple[float, float], ...] = ()
    """Recent late ticks: when, and by how many seconds deadlines moved."""
    expected_at: float | None = None
    """Monotonic time at which the gateway was told that a worker should be ready."""
    quit_sent: bool = False

    def slot(self, name: str) -> Slot:
        """Find a slot by its name; KeyError if there is none."""
        for slot in self.slots:
            if slot.name == name:
                return slot
        raise KeyError(name)


@dataclass(frozen=True, slots=True)
class Route:
    """One line of the gateway's table: a live generation and whether it may get new requests."""

    name: str
    epoch: str
    number: int
    open: bool
