"""The public HTTP face: Starlette routes, and errors in the gateway's own form."""

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from supervisor.gateway.article_endpoint import ArticleEndpoint
from supervisor.gateway.articles import ARTICLES
from supervisor.gateway.chat import ChatCompletions
from supervisor.gateway.errors import Problem, RefusedError, problem
from supervisor.gateway.hub import Hub
from supervisor.gateway.metrics import CONTENT_TYPE, metrics
from supervisor.gateway.models import Models
from supervisor.gateway.status import health


def create_app(hub: Hub) -> ASGIApp:
    """The public application."""
    models = Models(hub)

    async def livez(_: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def readyz(_: Request) -> Response:
        try:
            if hub.draining:
                raise RefusedError(problem("stopping", "the gateway no longer accepts"))
            hub.check_room()
        except RefusedError as refused:
            return problem_response(refused.problem)
        return JSONResponse({"status": "ok"})

    async def health_view(_: Request) -> Response:
        state = health(hub)
        status = 503 if state["status"] in ("draining", "down") else 200
        return JSONResponse(state, status)

    async def metrics_view(_: Request) -> Response:
        page = metrics(hub).encode("utf-8", "replace")
        return Response(page, media_type=CONTENT_TYPE)

    async def models_view(_: Request) -> Response:
        return Response(await models.answer(), media_type="application/json")

    app = Starlette(
        routes=[
            Route("/livez", livez),
            Route("/readyz", readyz),
            Route("/health", health_view),
            Route("/metrics", metrics_view),
            Route("/v1/models", models_view),
            Route("/v1/chat/completions", ChatCompletions(hub), methods=["POST"]),
            *(
                Route(path, ArticleEndpoint(hub, article), methods=["POST"])
                for path, article in ARTICLES.items()
            ),
        ],
        exception_handlers={HTTPException: _http_error, RefusedError: _refused},
    )
    return ClosingApp(app, hub)


class ClosingApp:
    """While the gateway drains, every answer asks the client to connect again."""

    def __init__(self, app: ASGIApp, hub: Hub) -> None:
        self._app = app
        self._hub = hub

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, with `Connection: close` where it is due."""

        async def closing_send(message: Message) -> None:
            if self._hub.draining and message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), (b"connection", b"close")]
            await send(message)

        await self._app(scope, receive, closing_send)


def problem_response(failure: Problem) -> Response:
    """The problem as a response."""
    return Response(failure.body(), failure.status, failure.headers())


async def _http_error(request: Request, error: Exception) -> Response:
    if isinstance(error, HTTPException) and error.status_code == 405:
        failure = problem("method_not_allowed", f"{request.method} is not offered here")
        response = problem_response(failure)
        response.headers.update(error.headers or {})
        return response
    return problem_response(problem("not_found", "no such resource"))


async def _refused(_: Request, error: Exception) -> Response:
    if not isinstance(error, RefusedError):
        raise error
    return problem_response(error.problem)
