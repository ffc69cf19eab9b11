"""What to do about it. The runtime performs effects in order; results come back as events.

`Record` is durable before the effects behind it are performed: every destructive act is preceded
by its reason.
"""

from dataclasses import dataclass
from enum import StrEnum

from supervisor.core import model
from supervisor.core.model import Cause, Generation, PhaseTime, Route, Slot

Evidence = model.Evidence


class Severity(StrEnum):
    """How loudly people are told."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True)
class Record:
    """Write one event to the journal: what the operator reads afterwards."""

    kind: str
    slot: str = ""
    epoch: str = ""
    cause: Cause | None = None
    reason: str = ""
    evidence: Evidence = ()
    phases: tuple[PhaseTime, ...] = ()
    decision: str = ""


@dataclass(frozen=True, slots=True)
class Remember:
    """Keep a slot's memory, generation and replacement for the next supervisor."""

    slot: Slot
    """Its generation, if any, is inside."""


@dataclass(frozen=True, slots=True)
class Spawn:
    """Start a process. The intent (epoch, number) is durable before the process exists."""

    slot: str
    epoch: str
    number: int


@dataclass(frozen=True, slots=True)
class SetRoutes:
    """Tell the gateway the whole table of live generations."""

    routes: tuple[Route, ...]


@dataclass(frozen=True, slots=True)
class MoveRequests:
    """End of the drain: what still runs on this epoch is cut and resumed elsewhere."""

    epoch: str


@dataclass(frozen=True, slots=True)
class ReportDeath:
    """Tell the gateway how an epoch died; only a counted death weighs against its requests."""

    epoch: str
    counted: bool
    cause: Cause


@dataclass(frozen=True, slots=True)
class ExpectReady:
    """Tell the gateway in how many seconds a worker should be ready; None: nobody knows."""

    seconds: float | None


@dataclass(frozen=True, slots=True)
class Terminate:
    """SIGTERM (and SIGCONT) to the process group of this verified generation."""

    generation: Generation


@dataclass(frozen=True, slots=True)
class StopGateway:
    """Ask the gateway to stop accepting, finish what it has within so many seconds, and exit."""

    generation: Generation
    drain_seconds: float


@dataclass(frozen=True, slots=True)
class KillTree:
    """SIGKILL every process of this verified generation: cgroup.kill, else freeze, walk, kill."""

    generation: Generation


@dataclass(frozen=True, slots=True)
class CheckGone:
    """Look whether every process of the generation is dead; answers TreeGone when so."""

    generation: Generation


@dataclass(frozen=True, slots=True)
class CheckMemory:
    """Look whether the device memory of the dead generation came back; answers MemoryRead."""

    generation: Generation


@dataclass(frozen=True, slots=True)
class WarmUp:
    """Send the warm-up request and check its answer; answers WarmUpDone."""

    generation: Generation


@dataclass(frozen=True, slots=True)
class Forget:
    """The generation is over: remove its runtime files, stop following it."""

    generation: Generation


@dataclass(frozen=True, slots=True)
class Alert:
    """Tell people. `key` groups an alert with its `resolved` counterpart."""

    key: str
    severity: Severity
    title: str
    slot: str = ""
    epoch: str = ""
    evidence: Evidence = ()
    resolved: bool = False


@dataclass(frozen=True, slots=True)
class Reply:
    """Answer to a RestartAsked: accepted, or denied with the reason."""

    decision: str
    accepted: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Quit:
    """Everything is stopped; the supervisor may exit."""


Effect = (
    Record
    | Remember
    | Spawn
    | SetRoutes
    | MoveRequests
    | ReportDeath
    | ExpectReady
    | Terminate
    | StopGateway
    | KillTree
    | CheckGone
    | CheckMemory
    | WarmUp
    | Forget
    | Alert
    | Reply
    | Quit
)
