"""The two HTTP servers inside the supervisor: the control socket and the console."""

import contextlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import uvicorn

from supervisor.runtime.errors import EX_CANTCREAT, StartError

_BACKLOG = 128
_GRACE_SECONDS = 1


class EmbeddedServer(uvicorn.Server):
    """uvicorn as one task among others: signals are the supervisor's own business."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signal handlers alone."""
        yield


def make_server(application: object) -> EmbeddedServer:
    """A server that gives open connections one second at the end and then cuts them."""
    return EmbeddedServer(
        uvicorn.Config(
            application,  # type: ignore[arg-type]  # Starlette's name is not known in this layer
            lifespan="off",
            ws="none",
            access_log=False,
            log_config=None,
            log_level="critical",
            server_header=False,
            timeout_graceful_shutdown=_GRACE_SECONDS,
        )
    )


def bind_control(path: Path) -> socket.socket:
    """The control socket, mode 0600; a dead supervisor's is replaced, as the fence allows."""
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        path.unlink(missing_ok=True)
        listening.bind(str(path))
        listening.listen(_BACKLOG)
    except OSError as error:
        listening.close()
        raise StartError(f"cannot listen on {path}: {error.strerror}", EX_CANTCREAT) from None
    finally:
        os.umask(before)
    return listening
