"""The supervisor's face of the gateway (docs/wire.md, section 5): HTTP on a private Unix socket."""

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from supervisor.gateway.app import problem_response
from supervisor.gateway.errors import RefusedError, problem
from supervisor.gateway.hub import Hub
from supervisor.gateway.routing import Worker

MAX_BODY_BYTES = 1024 * 1024

log = logging.getLogger("gateway")


class _Body(BaseModel):
    """Unknown members are ignored: the two ends may be of different versions."""

    model_config = ConfigDict(strict=True, frozen=True)


class WorkerEntry(_Body):
    """One row of the table."""

    name: str
    epoch: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
    generation: int
    socket: str
    route: Literal["open", "closed"]


class WorkersBody(_Body):
    """`PUT /control/workers`."""

    workers: Annotated[list[WorkerEntry], Field(max_length=256)]


class MoveBody(_Body):
    """`POST /control/move`."""

    epoch: str


class DeathBody(_Body):
    """`POST /control/death`."""

    epoch: str
    counted: bool
    cause: str = ""


class ExpectBody(_Body):
    """`POST /control/expect`."""

    ready_in_seconds: Annotated[float, Field(ge=0, le=1e6)] | None


class StopBody(_Body):
    """`POST /control/stop`."""

    drain_seconds: Annotated[float, Field(ge=0, le=1e6)]


@dataclass(slots=True)
class Command:
    """The highest term seen and when the supervisor last spoke (monotonic seconds)."""

    clock: Callable[[], float]
    heard_at: float
    term: int = 0

    def hear(self, request: Request) -> None:
        """Accept the call's term, or RefusedError: 409 for an old one, 422 for none."""
        header = request.headers.get("glyph-term", "")
        if not (header.isascii() and header.isdigit() and len(header) <= 18):
            raise RefusedError(problem("invalid_request", "the header Glyph-Term must be a number"))
        if int(header) < self.term:
            raise StaleTermError(self.term)
        self.term = int(header)
        self.heard_at = self.clock()


class StaleTermError(Exception):
    """The caller is an older supervisor than the one in command."""

    def __init__(self, term: int) -> None:
        super().__init__(term)
        self.term = term


Parsed = TypeVar("Parsed", bound=_Body)


class Control:
    """The routes; `stop` is called with the seconds to drain."""

    def __init__(
        self, hub: Hub, command: Command, epoch: str, stop: Callable[[float], None]
    ) -> None:
        self._hub = hub
        self._command = command
        self._epoch = epoch
        self._stop = stop
        self._started_at = hub.clock()

    def app(self) -> Starlette:
        """The application."""
        return Starlette(
            routes=[
                Route("/control/workers", self._workers, methods=["PUT"]),
                Route("/control/move", self._move, methods=["POST"]),
                Route("/control/death", self._death, methods=["POST"]),
                Route("/control/expect", self._expect, methods=["POST"]),
                Route("/control/stop", self._stop_view, methods=["POST"]),
                Route("/control/state", self._state),
            ],
            exception_handlers={RefusedError: _refused, StaleTermError: _stale},
        )

    async def _read(self, request: Request, kind: type[Parsed]) -> Parsed:
        self._command.hear(request)
        body = bytearray()
        async for piece in request.stream():
            body += piece
            if len(body) > MAX_BODY_BYTES:
                raise RefusedError(problem("body_too_large", "the command is too large"))
        try:
            return kind.model_validate_json(bytes(body))
        except ValidationError as error:
            raise RefusedError(problem("invalid_request", str(error)[:1000])) from error

    async def _workers(self, request: Request) -> Response:
        body = await self._read(request, WorkersBody)
        self._hub.set_workers(
            [
                Worker(row.name, row.epoch, row.generation, row.socket, row.route == "open")
                for row in body.workers
            ]
        )
        return JSONResponse({"workers": len(body.workers)})

    async def _move(self, request: Request) -> Response:
        body = await self._read(request, MoveBody)
        return JSONResponse({"cut": self._hub.cut(body.epoch)}, 202)

    async def _death(self, request: Request) -> Response:
        body = await self._read(request, DeathBody)
        self._hub.verdicts.record(body.epoch, body.counted)
        log.info("epoch %s died: %s, counted: %s", body.epoch, body.cause[:200], body.counted)
        return JSONResponse({})

    async def _expect(self, request: Request) -> Response:
        body = await self._read(request, ExpectBody)
        self._hub.dispatcher.expect(body.ready_in_seconds)
        return JSONResponse({})

    async def _stop_view(self, request: Request) -> Response:
        body = await self._read(request, StopBody)
        self._stop(body.drain_seconds)
        return JSONResponse({}, 202)

    async def _state(self, request: Request) -> Response:
        self._command.hear(request)
        hub = self._hub
        table = hub.dispatcher.table
        return JSONResponse(
            {
                "epoch": self._epoch,
                "pid": os.getpid(),
                "term": self._command.term,
                "accepting": not hub.draining,
                "held": table.waiting,
                "in_flight": table.in_flight(),
                "counters": hub.counters.snapshot(),
                "longest_gap_seconds": hub.counters.longest_gap_seconds,
                "uptime_seconds": hub.clock() - self._started_at,
            }
        )


async def _refused(_: Request, error: Exception) -> Response:
    if not isinstance(error, RefusedError):
        raise error
    return problem_response(error.problem)


async def _stale(_: Request, error: Exception) -> Response:
    return JSONResponse({"term": error.term if isinstance(error, StaleTermError) else 0}, 409)
