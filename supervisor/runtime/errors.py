"""Why a supervisor does not start: one line for people, one exit code for scripts (sysexits.h)."""

EX_UNAVAILABLE = 69
"""A port is busy."""
EX_CANTCREAT = 73
"""A directory or socket cannot be made."""
EX_TEMPFAIL = 75
"""Another supervisor holds the fence."""
EX_NOPERM = 77
"""The runtime directory belongs to somebody else."""


class StartError(Exception):
    """The message is complete; nothing was started."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code
