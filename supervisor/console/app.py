"""The console: the operator's page on TCP, and what its forms do."""

from pathlib import Path
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from supervisor.console.auth import Session, Sessions, same_token
from supervisor.console.body import BodyRefusedError, read_body
from supervisor.console.catalogue import LANGUAGES
from supervisor.console.guard import Guard, allowed_hosts
from supervisor.console.pages import Pages, Reader, choose_language
from supervisor.console.port import SupervisorPort
from supervisor.console.view import Notice

_STATIC = Path(__file__).parent / "static"
_MAX_REASON = 500
_LANGUAGE_COOKIE = "glyph-language"
_THEME_COOKIE = "glyph-theme"
_THEMES = ("light", "dark")
_YEAR_SECONDS = 365 * 86400


def build_console(
    supervisor: SupervisorPort, sessions: Sessions, *, host: str, port: int
) -> Starlette:
    """The application behind http://host:port, the address the console really listens on."""
    handlers = _Handlers(supervisor, sessions, port)
    return Starlette(
        routes=[
            Route("/", handlers.home),
            Route("/live", handlers.live),
            Route("/livez", _livez),
            Route("/login", handlers.login_page, methods=["GET"]),
            Route("/login", handlers.login, methods=["POST"]),
            Route("/logout", handlers.logout, methods=["POST"]),
            Route("/language", handlers.language, methods=["POST"]),
            Route("/workers/{name}/restart", handlers.restart, methods=["POST"]),
            Mount("/static", StaticFiles(directory=_STATIC)),
        ],
        middleware=[Middleware(Guard, hosts=allowed_hosts(host, port))],
        exception_handlers={BodyRefusedError: _body_refused},
    )


async def _livez(_: Request) -> Response:
    return PlainTextResponse("ok\n")


async def _body_refused(_: Request, error: Exception) -> Response:
    status = error.status if isinstance(error, BodyRefusedError) else 400
    return PlainTextResponse(f"{error}\n", status_code=status)


class _Handlers:
    """One method per route; the fields never change."""

    def __init__(self, supervisor: SupervisorPort, sessions: Sessions, port: int) -> None:
        self._supervisor = supervisor
        self._sessions = sessions
        self._pages = Pages(supervisor)
        # Cookies know no ports: two consoles on one machine must not log each other out.
        self._cookie = f"glyph-session-{port}"

    async def home(self, request: Request) -> Response:
        """The first page; without a session the way to the login page."""
        session = self._session(request)
        if session is None:
            return RedirectResponse("/login", status_code=303)
        accepted = request.query_params.get("accepted")
        notice = Notice("accepted", accepted) if accepted in self._worker_names() else None
        return self._home(request, session, notice)

    async def live(self, request: Request) -> Response:
        """The parts of the first page that change, for the page's own script."""
        session = self._session(request)
        if session is None:
            return PlainTextResponse("login\n", status_code=401)
        return HTMLResponse(self._pages.live(self._reader(request), session.csrf_token))

    async def login_page(self, request: Request) -> Response:
        """How to get a link; with `?once=` a form that uses the link up."""
        if self._session(request) is not None and "once" not in request.query_params:
            return RedirectResponse("/", status_code=303)
        return self._login(request, once=request.query_params.get("once", ""))

    async def login(self, request: Request) -> Response:
        """Turn a one-time link into a session."""
        delay = self._sessions.attempt_delay_seconds()
        if delay > 0:
            refusal = self._login(request, problem="login.slow", status=429)
            refusal.headers["Retry-After"] = str(max(1, round(delay)))
            return refusal
        form = await _form(request)
        cookie = self._sessions.open(form.get("once", ""))
        if cookie is None:
            return self._login(request, problem="login.invalid", status=403)
        answer = RedirectResponse("/", status_code=303)
        answer.set_cookie(self._cookie, cookie, httponly=True, samesite="strict", path="/")
        return answer

    async def logout(self, request: Request) -> Response:
        """End the session."""
        session = self._session(request)
        form = await _form(request)
        if session is None or not same_token(session.csrf_token, form.get("csrf", "")):
            return _stale()
        self._sessions.close(request.cookies.get(self._cookie, ""))
        answer = RedirectResponse("/login", status_code=303)
        answer.delete_cookie(self._cookie, httponly=True, samesite="strict", path="/")
        return answer

    async def language(self, request: Request) -> Response:
        """Remember the reader's language in a cookie; open to everybody, as the login page is."""
        language = (await _form(request)).get("language", "")
        if language not in LANGUAGES:
            return PlainTextResponse("unknown language\n", status_code=422)
        answer = RedirectResponse("/", status_code=303)
        answer.set_cookie(
            _LANGUAGE_COOKIE, language, max_age=_YEAR_SECONDS, httponly=True, samesite="strict"
        )
        return answer

    async def restart(self, request: Request) -> Response:
        """Order a restart; needs a session, its CSRF token and a reason."""
        session = self._session(request)
        form = await _form(request)
        if session is None or not same_token(session.csrf_token, form.get("csrf", "")):
            return _stale()
        name = str(request.path_params["name"])
        if name not in self._worker_names():
            return PlainTextResponse("no such worker\n", status_code=404)
        reason = " ".join(form.get("reason", "").split())
        if not reason or len(reason) > _MAX_REASON:
            return self._home(request, session, Notice("reason", name), status=422)
        answer = await self._supervisor.restart(name, reason=reason, actor="console")
        if not answer.accepted:
            notice = Notice("denied", name, answer.reason)
            return self._home(request, session, notice, status=409)
        return RedirectResponse(f"/?accepted={name}", status_code=303)

    def _session(self, request: Request) -> Session | None:
        return self._sessions.find(request.cookies.get(self._cookie))

    def _reader(self, request: Request) -> Reader:
        theme = request.cookies.get(_THEME_COOKIE, "")
        language = choose_language(
            request.cookies.get(_LANGUAGE_COOKIE), request.headers.get("accept-language", "")
        )
        return Reader(language, theme if theme in _THEMES else "")

    def _worker_names(self) -> list[str]:
        workers = self._supervisor.status().get("workers")
        rows = workers if isinstance(workers, list) else []
        return [str(row["name"]) for row in rows if isinstance(row, dict) and "name" in row]

    def _home(
        self, request: Request, session: Session, notice: Notice | None, status: int = 200
    ) -> HTMLResponse:
        html = self._pages.home(self._reader(request), session.csrf_token, notice)
        return HTMLResponse(html, status_code=status)

    def _login(
        self, request: Request, *, once: str = "", problem: str = "", status: int = 200
    ) -> HTMLResponse:
        html = self._pages.login(self._reader(request), once, problem)
        return HTMLResponse(html, status_code=status)


def _stale() -> Response:
    """Session or CSRF token is not valid (any more)."""
    return PlainTextResponse("This page is out of date. Log in again.\n", status_code=403)


async def _form(request: Request) -> dict[str, str]:
    """Fields of a URL-encoded form; empty when the body is something else."""
    raw = await read_body(request)
    if not request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        return {}
    try:
        return dict(parse_qsl(raw.decode("utf-8"), keep_blank_values=True, max_num_fields=16))
    except (UnicodeDecodeError, ValueError):
        return {}
