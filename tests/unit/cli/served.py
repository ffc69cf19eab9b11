"""A control API on a real Unix socket, served from a thread."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn

from supervisor.console.auth import Sessions
from supervisor.console.control import build_control
from tests.unit.console.fake import FakeSupervisor


@contextmanager
def served(path: Path, supervisor: FakeSupervisor) -> Iterator[None]:
    sessions = Sessions(link_seconds=60, session_seconds=60)
    app = build_control(supervisor, sessions, console_url="http://127.0.0.1:8900")
    server = uvicorn.Server(uvicorn.Config(app, lifespan="off", ws="none", log_config=None))
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(path))
    # The socket listens before the server runs: callers wait in its backlog, not in a loop here.
    listening.listen(16)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
    thread.start()
    try:
        yield
    finally:
        server.should_exit = True
        thread.join(20)
        listening.close()
        path.unlink(missing_ok=True)
