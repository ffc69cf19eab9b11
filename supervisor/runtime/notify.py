"""What systemd is told (sd_notify(3)), and the descriptors it hands over (sd_listen_fds(3))."""

import array
import logging
import os
import socket
from collections.abc import MutableMapping

_LOG = logging.getLogger(__name__)
_FIRST_FD = 3
LISTEN_NAME = "glyph-listen"


class Notifier:
    """Messages to the service manager; without one every call does nothing."""

    def __init__(self, address: str | None) -> None:
        self._address = address

    def send(self, *assignments: str, descriptor: int | None = None) -> None:
        """Send `NAME=value` lines, and one descriptor if given; never raises or blocks."""
        if not self._address:
            return
        target = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        attached = [] if descriptor is None else [array.array("i", [descriptor])]
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds) for fds in attached]
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sender:
                sender.sendmsg(["\n".join(assignments).encode()], rights, 0, target)
        except OSError as error:
            _LOG.warning("systemd was not told %s: %s", assignments[0], error)

    def store(self, listening: socket.socket) -> None:
        """Put the public socket into systemd's keeping, so that it survives both of us."""
        self.send("FDSTORE=1", f"FDNAME={LISTEN_NAME}", descriptor=listening.fileno())


def take_passed_sockets(environment: MutableMapping[str, str]) -> list[socket.socket]:
    """Sockets passed to this very process, the named one first; the variables are removed either
    way.
    """
    pid = environment.pop("LISTEN_PID", "")
    count = environment.pop("LISTEN_FDS", "")
    names = environment.pop("LISTEN_FDNAMES", "").split(":")
    if pid != str(os.getpid()) or not count.isdigit():
        return []
    named: list[socket.socket] = []
    others: list[socket.socket] = []
    for offset in range(int(count)):
        descriptor = _FIRST_FD + offset
        try:
            os.set_inheritable(descriptor, False)
            passed = socket.socket(fileno=descriptor)
        except OSError:
            continue  # not a socket, or not there at all
        is_ours = offset < len(names) and names[offset] == LISTEN_NAME
        (named if is_ours else others).append(passed)
    return named + others
