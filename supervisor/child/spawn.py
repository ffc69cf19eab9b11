"""Start one process by exec: own session, no inherited descriptor, output to its own file."""

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from supervisor.child import cgroup


@dataclass(frozen=True, slots=True)
class Launch:
    """Everything about a process before it exists."""

    argv: tuple[str, ...]
    environment: Mapping[str, str]
    log: Path
    pass_fds: tuple[int, ...] = ()
    group: Path | None = None
    """Its own cgroup, if there is delegation."""


def launch(order: Launch) -> "subprocess.Popen[bytes]":
    """Start it; blocking for milliseconds. OSError when the program or its log file cannot be
    opened.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
    output = os.open(order.log, flags, 0o600)
    try:
        process = subprocess.Popen(
            order.argv,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            close_fds=True,
            pass_fds=order.pass_fds,
            env=dict(order.environment),
            start_new_session=True,
        )
    finally:
        os.close(output)
    if order.group is not None:
        # The interpreter needs milliseconds before it can fork, so nothing escapes the move.
        cgroup.add(order.group, process.pid)
    return process
