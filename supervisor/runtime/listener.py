"""Where the public socket comes from: systemd, the living gateway, a fresh bind, in this order."""

import array
import errno
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from supervisor.child.ports import holder_of
from supervisor.runtime.errors import EX_UNAVAILABLE, StartError

_HAND_BACK_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server listens; port 0 accepts any."""

    host: str
    port: int
    what: str
    """Its name in messages, such as `gateway`."""


def choose_passed(passed: Iterable[socket.socket], address: Address) -> socket.socket | None:
    """The first usable socket of those passed to us; the others are closed."""
    chosen: socket.socket | None = None
    for candidate in passed:
        if chosen is None and fits(candidate, address):
            chosen = candidate
        else:
            candidate.close()
    return chosen


def ask_gateway(control: Path) -> socket.socket | None:
    """The listening socket of a living gateway (CONTROL.fd, SCM_RIGHTS); None if it does not give
    it.
    """
    size = array.array("i").itemsize
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
            asking.settimeout(_HAND_BACK_SECONDS)
            asking.connect(f"{control}.fd")
            _, ancillary, _, _ = asking.recvmsg(1, socket.CMSG_SPACE(size), socket.MSG_CMSG_CLOEXEC)
    except OSError:
        return None
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS and len(data) >= size:
            return socket.socket(fileno=array.array("i", data[:size])[0])
    return None


def fits(candidate: socket.socket, address: Address) -> bool:
    """Whether a socket listens on the configured address."""
    try:
        if not candidate.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            return False
        name = candidate.getsockname()
    except OSError:
        return False
    if not isinstance(name, tuple):
        return False
    hosts = {info[4][0] for info in _resolve(address)}
    return name[0] in hosts and address.port in (0, name[1])


def bind(address: Address, backlog: int) -> socket.socket:
    """A fresh listening socket; StartError with exit code 69 that names whoever has the port.

    Never SO_REUSEPORT: a second listener that does not accept swallows connections.
    """
    family, kind, protocol, _, name = _resolve(address)[0]
    listening = socket.socket(family, kind, protocol)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(name)
        listening.listen(backlog)
    except OSError as error:
        listening.close()
        raise StartError(_why_not(address, error), EX_UNAVAILABLE) from None
    return listening


def url_of(listening: socket.socket) -> str:
    """HTTP address of a listening socket."""
    host, port = listening.getsockname()[:2]
    if host in ("0.0.0.0", "::"):
        host = "127.0.0.1" if host == "0.0.0.0" else "::1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _resolve(
    address: Address,
) -> "list[tuple[socket.AddressFamily, socket.SocketKind, int, str, tuple[str, int]]]":
    try:
        found = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except OSError as error:
        text = f"{address.what}: {address.host} is no address of this machine: {error.strerror}"
        raise StartError(text, EX_UNAVAILABLE) from None
    return [(info[0], info[1], info[2], info[3], info[4]) for info in found]  # type: ignore[misc]


def _why_not(address: Address, error: OSError) -> str:
    where = f"{address.host}:{address.port}"
    if error.errno != errno.EADDRINUSE:
        return f"{address.what} cannot listen on {where}: {error.strerror}"
    holder = holder_of(address.port)
    by = "another process" if holder is None else f"pid {holder.pid} ({holder.command})"
    return f"{address.what} cannot listen on {where}: port {address.port} is in use by {by}"
