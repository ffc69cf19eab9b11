"""HTTP over the supervisor's Unix socket, with the standard library only: it must start fast."""

import http.client
import json
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from supervisor.cli.exits import CommandError, Exit

_MAX_ANSWER_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Answer:
    """Status and body of an answer."""

    status: int
    body: bytes

    def json(self) -> dict[str, object]:
        """The body as a JSON object; CommandError if it is none."""
        try:
            value: object = json.loads(self.body)
        except ValueError:
            value = None
        if not isinstance(value, dict):
            raise CommandError(Exit.UNKNOWN, "the supervisor gave an answer that makes no sense")
        return value

    def error(self) -> str:
        """Why the call was refused."""
        try:
            return str(self.json().get("error", "")) or f"status {self.status}"
        except CommandError:
            return f"status {self.status}"


class Client:
    """Calls of one supervisor; every call is a connection of its own."""

    def __init__(self, path: Path, timeout_seconds: float = 5.0) -> None:
        self.path = path
        self._timeout_seconds = timeout_seconds

    def get(self, target: str) -> Answer:
        """Answer of a GET; CommandError tells `not running` from `does not answer`."""
        return self._call("GET", target, None)

    def post(self, target: str, body: Mapping[str, object]) -> Answer:
        """Answer of a POST with a JSON body."""
        return self._call("POST", target, json.dumps(body).encode())

    def status(self) -> dict[str, object]:
        """The status object."""
        answer = self.get("/api/v1/status")
        if answer.status != 200:
            raise CommandError(Exit.UNKNOWN, f"the supervisor answered {answer.error()}")
        return answer.json()

    def _call(self, method: str, target: str, body: bytes | None) -> Answer:
        connection = _UnixConnection(self.path, self._timeout_seconds)
        headers = {"Content-Type": "application/json"} if body is not None else {}
        try:
            connection.request(method, target, body=body, headers=headers)
            response = connection.getresponse()
            return Answer(response.status, response.read(_MAX_ANSWER_BYTES))
        except (FileNotFoundError, ConnectionRefusedError):
            message = f"no supervisor is running ({self.path})"
            raise CommandError(Exit.NOT_RUNNING, message) from None
        except PermissionError:
            message = f"{self.path} belongs to somebody else: use the supervisor's user, or sudo"
            raise CommandError(Exit.PERMISSION, message) from None
        except TimeoutError:
            message = f"the supervisor did not answer within {self._timeout_seconds:g} s"
            raise CommandError(Exit.UNKNOWN, message) from None
        except (OSError, http.client.HTTPException) as error:
            message = f"the supervisor broke off: {error or type(error).__name__}"
            raise CommandError(Exit.UNKNOWN, message) from None
        finally:
            connection.close()


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout_seconds: float) -> None:
        super().__init__("localhost", timeout=timeout_seconds)
        self._path = path
        self._timeout_seconds = timeout_seconds

    def connect(self) -> None:
        """Connect to the Unix socket instead of a host."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self._timeout_seconds)
        self.sock.connect(str(self._path))
