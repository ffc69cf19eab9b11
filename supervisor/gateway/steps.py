"""What follows from the end of an attempt: the decisions of the relay, as values."""

from dataclasses import dataclass
from enum import Enum

from supervisor.gateway.errors import Problem, problem

ENGINE_ERRORS = 3
"""How often a living worker may fail the same request (5xx) before its answer is passed on."""


@dataclass(frozen=True, slots=True)
class Complete:
    """The stream ended with finish_reason and [DONE], and all of it was accepted."""


@dataclass(frozen=True, slots=True)
class Unreachable:
    """The request never reached the worker."""

    reason: str


@dataclass(frozen=True, slots=True)
class Lost:
    """The worker, or the connection to it, was lost while the request was in it."""

    reason: str


@dataclass(frozen=True, slots=True)
class Fenced:
    """The worker lives and said something the journal does not accept."""

    reason: str


@dataclass(frozen=True, slots=True)
class Refused:
    """The worker answered with an error instead of, or in the middle of, its stream."""

    problem: Problem


@dataclass(frozen=True, slots=True)
class Mismatch:
    """The worker does not compute the same answers as the one that began."""


@dataclass(frozen=True, slots=True)
class Cut:
    """The supervisor took the request away from this worker."""


@dataclass(frozen=True, slots=True)
class Expired:
    """The service deadline passed."""


Outcome = Complete | Unreachable | Lost | Fenced | Refused | Mismatch | Cut | Expired


class Then(Enum):
    """What the relay does next."""

    FINISH = "finish"
    FAIL = "fail"
    AGAIN = "again"
    RESTART = "restart"


@dataclass(frozen=True, slots=True)
class Step:
    """The next step, with the problem if it is FAIL."""

    then: Then
    problem: Problem | None = None


@dataclass(slots=True)
class Tries:
    """How often one request was tried."""

    limit: int
    replay: bool = True
    sent: int = 0
    engine_errors: int = 0

    def next_step(self, outcome: Outcome, *, condemned: bool) -> Step:
        """What follows from the outcome; `condemned`: the request is known to kill workers."""
        if isinstance(outcome, Complete):
            return Step(Then.FINISH)
        if isinstance(outcome, Expired):
            return _fail("deadline_exceeded", "the request spent its service time inside workers")
        if isinstance(outcome, Unreachable):
            return Step(Then.AGAIN)
        if isinstance(outcome, Refused):
            return self._after_refusal(outcome.problem)
        if not isinstance(outcome, Cut):
            self.sent += 1
        if condemned:
            return _fail("poison_request", "workers died of this request, at last running it alone")
        if not self.replay:
            return _fail("worker_lost", "the worker was lost and replay is switched off")
        if self.sent >= self.limit:
            return _fail("worker_lost", f"{self.sent} workers were lost during this request")
        return Step(Then.RESTART if isinstance(outcome, Mismatch) else Then.AGAIN)

    def _after_refusal(self, refusal: Problem) -> Step:
        if refusal.status in (429, 503):
            return Step(Then.AGAIN)
        if refusal.status < 500 or refusal.status == 504:
            return Step(Then.FAIL, refusal)
        self.sent += 1
        self.engine_errors += 1
        if self.engine_errors >= ENGINE_ERRORS or self.sent >= self.limit:
            return Step(Then.FAIL, refusal)
        return Step(Then.AGAIN)


def _fail(code: str, detail: str) -> Step:
    return Step(Then.FAIL, problem(code, detail))
