"""Who listens on a TCP port."""

from dataclasses import dataclass

import psutil

from supervisor.child.procfs import command_line

_COMMAND_CHARACTERS = 80


@dataclass(frozen=True, slots=True)
class PortHolder:
    """A process with a listening socket."""

    pid: int
    command: str


def holder_of(port: int) -> PortHolder | None:
    """The process that listens on this port, if we may see it. Reads all of /proc: for error
    messages.
    """
    try:
        connections = psutil.net_connections(kind="tcp")
    except (psutil.Error, OSError):
        return None
    for connection in connections:
        listens = connection.status == psutil.CONN_LISTEN
        if listens and connection.laddr and connection.laddr.port == port and connection.pid:
            words = " ".join(command_line(connection.pid))
            return PortHolder(connection.pid, words[:_COMMAND_CHARACTERS])
    return None
