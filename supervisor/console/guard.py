"""What every console request must pass: Host allow-list, same origin for POST, security headers.

The Host check is what stops DNS rebinding, also on loopback. A POST must come from the page itself:
browsers say so in `Sec-Fetch-Site`, older ones in `Origin`.
"""

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")

_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Not no-referrer: with it browsers send `Origin: null` on the page's own forms.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


def allowed_hosts(host: str, port: int) -> frozenset[str]:
    """Values of the Host header this console answers to, in lower case."""
    configured = f"[{host}]" if ":" in host else host.lower()
    return frozenset(f"{name}:{port}" for name in (*_LOOPBACK_NAMES, configured))


class Guard:
    """ASGI layer in front of all routes."""

    def __init__(self, app: ASGIApp, hosts: frozenset[str]) -> None:
        self._app = app
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse what must not reach the routes; put the security headers on every answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        refusal = self._refusal(Request(scope))
        if refusal is None:
            await self._app(scope, receive, send_with_headers)
        else:
            status, text = refusal
            await PlainTextResponse(text, status_code=status)(scope, receive, send_with_headers)

    def _refusal(self, request: Request) -> tuple[int, str] | None:
        hosts = request.headers.getlist("host")
        if len(hosts) != 1 or hosts[0].lower() not in self._hosts:
            return 421, "This console does not answer to that host name.\n"
        if request.method in ("GET", "HEAD"):
            return None
        site = request.headers.get("sec-fetch-site")
        if site is not None and site != "same-origin":
            return 403, "Forms of other sites are not accepted here.\n"
        origin = request.headers.get("origin")
        if origin is not None and origin.lower() != f"http://{hosts[0].lower()}":
            return 403, "Forms of other sites are not accepted here.\n"
        return None
