"""Hands the listening socket to whoever connects to `CONTROL.fd`: it outlives a supervisor."""

import asyncio
import contextlib
import socket


class Handback:
    """A Unix socket in the event loop; each connection is sent one byte with the descriptor."""

    def __init__(self, listener: socket.socket, shared: socket.socket) -> None:
        self._listener = listener
        self._shared = shared
        listener.setblocking(False)

    def start(self) -> None:
        """Serve from the running loop."""
        asyncio.get_running_loop().add_reader(self._listener, self._hand_over)

    def stop(self) -> None:
        """Serve no longer."""
        asyncio.get_running_loop().remove_reader(self._listener)
        self._listener.close()
        self._shared.close()

    def _hand_over(self) -> None:
        # The peer may be gone already; one byte and one descriptor never block.
        with contextlib.suppress(OSError):
            connection, _ = self._listener.accept()
            with connection:
                socket.send_fds(connection, [b"L"], [self._shared.fileno()])
