"""The gateway's process: sockets, servers, signals, and the ways it ends."""

import asyncio
import contextlib
import logging
import os
import signal
import socket
from collections.abc import Iterator
from dataclasses import dataclass

import uvicorn

from supervisor.config.model import Gateway
from supervisor.gateway.app import create_app
from supervisor.gateway.control import Command, Control
from supervisor.gateway.errors import problem
from supervisor.gateway.exits import STOPPED, TEMPORARY, write_exit
from supervisor.gateway.handback import Handback
from supervisor.gateway.hub import Hub

LAST_WORDS_SECONDS = 1.0
"""How long clients get to take the error that ends their request when the process stops at once."""

log = logging.getLogger("gateway")


@dataclass(frozen=True, slots=True)
class Place:
    """What the process was started with."""

    epoch: str
    control: str
    listener: socket.socket


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers and with one tick a second."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def main_loop(self) -> None:
        while not self.should_exit:
            await self.on_tick(0)
            await asyncio.sleep(1.0)

    def stop_accepting(self) -> None:
        """Close the listening sockets of this process; connections live on."""
        if self.started:
            for server in self.servers:
                server.close()

    def hang_up(self) -> None:
        """Close all connections behind what was written to them."""
        for connection in list(self.server_state.connections):
            connection.transport.close()


class Process:
    """Composition root. `run` returns the exit code after `exit.json` was written."""

    def __init__(self, settings: Gateway, place: Place) -> None:
        loop = asyncio.get_running_loop()
        self._settings = settings
        self._place = place
        self._hub = Hub(settings, loop.time)
        self._command = Command(loop.time, loop.time())
        self._ending: asyncio.Future[tuple[int, str]] = loop.create_future()
        self._public = _Server(_server_config(create_app(self._hub), settings))
        self._drain: asyncio.Task[None] | None = None

    async def run(self) -> int:
        """Serve until told to stop."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._end, STOPPED, "SIGTERM")
        control = Control(self._hub, self._command, self._place.epoch, self._begin_drain)
        private = _Server(_server_config(control.app(), self._settings))
        handback = Handback(bind_private(f"{self._place.control}.fd"), self._place.listener.dup())
        handback.start()
        servers = [
            asyncio.create_task(self._public.serve([self._place.listener])),
            asyncio.create_task(private.serve([bind_private(self._place.control)])),
        ]
        orphan = asyncio.create_task(self._watch_orphan())
        for server in servers:
            server.add_done_callback(lambda _: self._end(TEMPORARY, "a server ended"))
        log.info("gateway %s serves, control %s", self._place.epoch, self._place.control)
        code, reason = await self._ending
        await self._last_words()
        orphan.cancel()
        handback.stop()
        for path in (self._place.control, f"{self._place.control}.fd"):
            with contextlib.suppress(OSError):
                os.unlink(path)
        write_exit(f"{self._place.control}.exit.json", self._place.epoch, code, reason)
        log.info("gateway %s ends: %s", self._place.epoch, reason)
        return code

    def _end(self, code: int, reason: str) -> None:
        if not self._ending.done():
            self._ending.set_result((code, reason))

    def _begin_drain(self, drain_seconds: float) -> None:
        if self._drain is None:
            self._hub.draining = True
            self._public.stop_accepting()
            self._drain = asyncio.create_task(self._drained(drain_seconds))

    async def _drained(self, drain_seconds: float) -> None:
        """End when the last connection is gone, or after so long."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(drain_seconds):
                while self._public.server_state.connections:  # noqa: ASYNC110
                    await asyncio.sleep(0.05)  # uvicorn has no event for it
        self._end(STOPPED, "stopped by the supervisor")

    async def _last_words(self) -> None:
        """What still runs fails now: by status where that is possible, else by an aborted body."""
        self._public.stop_accepting()
        self._hub.end_all(problem("stopping", "the gateway stops", retry_after_seconds=1))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LAST_WORDS_SECONDS):
                await self._hub.idle.wait()
        self._public.hang_up()
        await asyncio.sleep(0)  # the connections' handlers learn of it

    async def _watch_orphan(self) -> None:
        """End without a supervisor's word for so long and with nothing in flight."""
        loop = asyncio.get_running_loop()
        while True:
            left = self._command.heard_at + self._settings.orphan_seconds - loop.time()
            if left <= 0 and not self._hub.active:
                self._end(STOPPED, "no word from a supervisor")
                return
            await asyncio.sleep(max(0.5, left))


def bind_private(path: str) -> socket.socket:
    """A listening Unix socket only its owner can open."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    mask = os.umask(0o177)
    try:
        listener.bind(path)
    finally:
        os.umask(mask)
    listener.listen(128)
    return listener


def _server_config(app: object, settings: Gateway) -> uvicorn.Config:
    return uvicorn.Config(
        app,  # type: ignore[arg-type]  # uvicorn and Starlette type ASGI differently
        http="httptools",
        ws="none",
        loop="asyncio",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        backlog=settings.backlog,
        timeout_keep_alive=max(1, round(settings.idle_seconds)),
    )
