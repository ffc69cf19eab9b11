"""`exit.json`: why the process ended, for a supervisor that is not its parent."""

import contextlib
import json
import os
import time

STOPPED = 0
USAGE = 64
TEMPORARY = 75
CONFIGURATION = 78


def write_exit(path: str, epoch: str, code: int, reason: str) -> None:
    """Write the file durably; an OSError is ignored, since the process ends either way."""
    content = {"epoch": epoch, "code": code, "reason": reason, "at": time.time()}
    with contextlib.suppress(OSError):
        descriptor = os.open(f"{path}.tmp", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            os.write(descriptor, json.dumps(content).encode() + b"\n")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.replace(f"{path}.tmp", path)
        directory = os.open(os.path.dirname(path) or ".", os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
