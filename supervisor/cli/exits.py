"""Exit codes of all verbs, in one table; `glyphctl --help` and docs/operations.md show it."""

from enum import IntEnum


class Exit(IntEnum):
    """What a verb's exit code means."""

    OK = 0
    FAILED = 1
    NOT_RUNNING = 3
    UNKNOWN = 4
    USAGE = 64
    PORT_BUSY = 69
    DEFECT = 70
    CANNOT_CREATE = 73
    TEMPORARY = 75
    PERMISSION = 77
    CONFIGURATION = 78
    INTERRUPTED = 130
    DEGRADED = 150


MEANINGS = {
    Exit.OK: "done; status: serving",
    Exit.FAILED: "not done: denied or failed, the reason is on standard error",
    Exit.NOT_RUNNING: "no supervisor is running",
    Exit.UNKNOWN: "the supervisor does not answer",
    Exit.USAGE: "the command line is wrong",
    Exit.PORT_BUSY: "run: a port is taken by another program",
    Exit.DEFECT: "run: a defect of the supervisor; gateway and workers go on serving",
    Exit.CANNOT_CREATE: "run: a directory or file cannot be made",
    Exit.TEMPORARY: "run: another supervisor holds the state directory; others: timed out",
    Exit.PERMISSION: "the socket or a directory belongs to somebody else",
    Exit.CONFIGURATION: "the configuration is wrong",
    Exit.INTERRUPTED: "interrupted by Ctrl-C",
    Exit.DEGRADED: "status: running, but not simply serving (starting, holding, degraded, ...)",
}


class CommandError(Exception):
    """A verb cannot go on; the text goes to standard error, the code is the exit code."""

    def __init__(self, code: Exit, message: str) -> None:
        super().__init__(message)
        self.code = code
