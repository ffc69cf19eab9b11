"""Why a process ended, and whether its death weighs against the requests it had.

Design section 5: a death counts only if the worker died by itself (SIGSEGV, SIGABRT, SIGBUS,
non-zero exit, evidenced out-of-memory, a hang that is not a stopped process). Signals we sent and
kills from outside that nothing explains never count.
"""

from supervisor.core.model import Cause, ExitReport

BY_ITSELF = frozenset({6, 7, 11})
"""SIGABRT, SIGBUS, SIGSEGV (Linux numbers)."""
TEMPORARY_CODE = 75
CONFIGURATION_CODES = frozenset({64, 78})
BY_US = frozenset(
    {Cause.OPERATOR, Cause.SHUTDOWN, Cause.HANG, Cause.LOAD_TIMEOUT, Cause.WARM_FAILED}
)
"""Causes for which we end a living process."""
COUNTED = frozenset({Cause.CRASH, Cause.OUT_OF_MEMORY, Cause.TEMPORARY, Cause.CONFIGURATION})


def cause_of(report: ExitReport) -> Cause:
    """The cause that an exit report proves; KILLED when it proves nothing."""
    if report.out_of_memory:
        return Cause.OUT_OF_MEMORY
    if report.signal is not None:
        return Cause.CRASH if report.signal in BY_ITSELF else Cause.KILLED
    if report.code is None:
        return Cause.KILLED if report.reported is None else Cause.EXITED
    if report.code == 0:
        return Cause.EXITED
    if report.code == TEMPORARY_CODE:
        return Cause.TEMPORARY
    return Cause.CONFIGURATION if report.code in CONFIGURATION_CODES else Cause.CRASH


def counts(cause: Cause, *, signals_sent: bool) -> bool:
    """Whether a death of this cause weighs against requests; a hang is judged when it is found."""
    return cause in COUNTED and not signals_sent
