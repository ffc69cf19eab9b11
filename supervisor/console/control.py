"""The control API on the supervisor's Unix socket (`docs/wire.md` section 6).

Whoever can open the socket is the operator: the directory is mode 0700, the socket 0600. A browser
cannot reach it, so it needs neither session nor CSRF token.
"""

import json
from collections.abc import Awaitable, Callable
from json import JSONDecodeError

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from supervisor.console.auth import Sessions
from supervisor.console.body import BodyRefusedError, read_body
from supervisor.console.port import SupervisorPort

_MAX_EVENTS = 1000
_MAX_TEXT = 500


class _BadCallError(ValueError):
    """The caller's mistake; its text is the answer."""


def build_control(supervisor: SupervisorPort, sessions: Sessions, *, console_url: str) -> Starlette:
    """The application for `RUN/control.sock`; `console_url` is the console's address."""

    async def status(_: Request) -> Response:
        return JSONResponse(supervisor.status())

    async def events(request: Request) -> Response:
        limit = _whole_number(request, "limit", default=50, high=_MAX_EVENTS)
        after = _whole_number(request, "after", default=0, high=2**63 - 1)
        lines = [
            json.dumps(event, ensure_ascii=False) + "\n"
            for event in supervisor.events(limit=limit, after=after)
        ]
        return Response("".join(lines), media_type="application/x-ndjson")

    async def restart(request: Request) -> Response:
        body = await _json_body(request)
        reason = _text(body, "reason")
        if not reason:
            raise _BadCallError("a restart needs a reason")
        worker = str(request.path_params["name"])
        answer = await supervisor.restart(
            worker, reason=reason, actor=_text(body, "actor") or "control socket"
        )
        if not answer.accepted:
            return JSONResponse({"error": answer.reason}, status_code=409)
        return JSONResponse({"decision": answer.decision}, status_code=202)

    async def stop(request: Request) -> Response:
        body = await _json_body(request)
        drain = body.get("drain", True)
        if not isinstance(drain, bool):
            raise _BadCallError("drain must be true or false")
        supervisor.stop(reason=_text(body, "reason"), drain=drain)
        return JSONResponse({}, status_code=202)

    async def handover(_: Request) -> Response:
        supervisor.handover()
        return JSONResponse({})

    async def login_link(_: Request) -> Response:
        return JSONResponse({"url": sessions.login_link(console_url)})

    return Starlette(
        routes=[
            Route("/api/v1/status", _guarded(status)),
            Route("/api/v1/events", _guarded(events)),
            Route("/api/v1/workers/{name}/restart", _guarded(restart), methods=["POST"]),
            Route("/api/v1/stop", _guarded(stop), methods=["POST"]),
            Route("/api/v1/handover", _guarded(handover), methods=["POST"]),
            Route("/api/v1/login-link", _guarded(login_link), methods=["POST"]),
        ]
    )


_Endpoint = Callable[[Request], Awaitable[Response]]


def _guarded(endpoint: _Endpoint) -> _Endpoint:
    async def answer(request: Request) -> Response:
        try:
            return await endpoint(request)
        except _BadCallError as error:
            return JSONResponse({"error": str(error)}, status_code=422)
        except BodyRefusedError as error:
            return JSONResponse({"error": str(error)}, status_code=error.status)

    return answer


def _whole_number(request: Request, name: str, *, default: int, high: int) -> int:
    text = request.query_params.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise _BadCallError(f"{name} must be a whole number")
    return min(int(text), high)


async def _json_body(request: Request) -> dict[str, object]:
    raw = await read_body(request)
    if not raw:
        return {}
    try:
        body: object = json.loads(raw)
    except (JSONDecodeError, UnicodeDecodeError, RecursionError):
        raise _BadCallError("the body is not JSON") from None
    if not isinstance(body, dict):
        raise _BadCallError("the body must be a JSON object")
    return body


def _text(body: dict[str, object], name: str) -> str:
    value = body.get(name, "")
    if not isinstance(value, str):
        raise _BadCallError(f"{name} must be text")
    if len(value) > _MAX_TEXT:
        raise _BadCallError(f"{name} must not exceed {_MAX_TEXT} characters")
    return value.strip()
