"""The routes of a worker put together."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from http import HTTPStatus

from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from inference.api.articles import ARTICLES
from inference.api.chat import ChatEndpoint
from inference.api.control import Control
from inference.api.metrics import Metrics
from inference.api.render import RenderEndpoint
from inference.api.worker import Fence, Worker
from inference.errors import PROBLEM_CONTENT_TYPE, RequestError

_log = logging.getLogger(__name__)


class TermMiddleware:
    """Hears the supervisor's term in every request that carries one."""

    def __init__(self, app: ASGIApp, fence: Fence) -> None:
        self._app = app
        self._fence = fence

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Note in the scope whether the caller may command."""
        if scope["type"] == "http":
            term = Headers(scope=scope).get("glyph-term", "")
            if term.isdecimal():
                scope["glyph_term_accepted"] = self._fence.hear(int(term))
        await self._app(scope, receive, send)


def build_app(worker: Worker) -> Starlette:
    """The HTTP application of a worker."""
    control = Control(worker)
    return Starlette(
        routes=[
            Route("/v1/chat/completions", ChatEndpoint(worker), methods=["POST"]),
            *(
                Route(path, ChatEndpoint(worker, article), methods=["POST"])
                for path, article in ARTICLES.items()
            ),
            Route("/v1/models", control.models),
            Route("/v1/render", RenderEndpoint(worker).answer, methods=["POST"]),
            Route("/health", control.health),
            Route("/metrics", Metrics(worker).page),
            Route("/control/drain", control.drain, methods=["POST"]),
            Route("/control/undrain", control.undrain, methods=["POST"]),
            Route("/control/canary", control.canary),
        ],
        middleware=[Middleware(TermMiddleware, fence=worker.fence)],
        exception_handlers={
            RequestError: _refused,
            HTTPException: _no_route,
            Exception: _unexpected,
        },
    )


def _problem(body: Mapping[str, object], status: int) -> Response:
    return JSONResponse(body, status_code=status, media_type=PROBLEM_CONTENT_TYPE)


def _refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestError)
    return _problem(error.body(), error.status)


def _no_route(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    status = HTTPStatus(error.status_code)
    code = status.name.lower()
    openai_error = {
        "message": status.phrase,
        "type": "invalid_request_error",
        "code": code,
        "param": None,
    }
    body = {
        "type": f"urn:glyph:error:{code}",
        "title": status.phrase,
        "status": status.value,
        "detail": status.description or status.phrase,
        "code": code,
        "error": openai_error,
    }
    return _problem(body, status.value)


def _unexpected(_: Request, error: Exception) -> Response:
    _log.error("a request could not be answered", exc_info=error)
    failure = RequestError("engine_error", "the worker made a mistake")
    return _problem(failure.body(), failure.status)
