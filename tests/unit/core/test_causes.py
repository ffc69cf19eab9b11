"""Why it ended, and whether that weighs against its requests (design section 5)."""

import pytest

from supervisor.core.causes import cause_of, counts
from supervisor.core.model import Cause, ExitReport

CASES = [
    (ExitReport(code=0, reported="stopped"), Cause.EXITED, False),
    (ExitReport(code=0), Cause.EXITED, False),
    (ExitReport(reported="orphaned"), Cause.EXITED, False),
    (ExitReport(code=1), Cause.CRASH, True),
    (ExitReport(code=139), Cause.CRASH, True),
    (ExitReport(code=75), Cause.TEMPORARY, True),
    (ExitReport(code=78), Cause.CONFIGURATION, True),
    (ExitReport(code=64), Cause.CONFIGURATION, True),
    (ExitReport(signal=11), Cause.CRASH, True),
    (ExitReport(signal=6), Cause.CRASH, True),
    (ExitReport(signal=7), Cause.CRASH, True),
    (ExitReport(signal=9), Cause.KILLED, False),
    (ExitReport(signal=15), Cause.KILLED, False),
    (ExitReport(signal=2), Cause.KILLED, False),
    (ExitReport(signal=9, out_of_memory=True), Cause.OUT_OF_MEMORY, True),
    (ExitReport(), Cause.KILLED, False),
]


@pytest.mark.parametrize(("report", "cause", "counted"), CASES)
def test_exit_report_proves_a_cause(report: ExitReport, cause: Cause, counted: bool) -> None:
    assert cause_of(report) is cause
    assert counts(cause, signals_sent=False) is counted
    assert counts(cause, signals_sent=True) is False


@pytest.mark.parametrize("cause", [Cause.OPERATOR, Cause.SHUTDOWN, Cause.LOAD_TIMEOUT])
def test_what_we_end_never_counts(cause: Cause) -> None:
    assert not counts(cause, signals_sent=False)
