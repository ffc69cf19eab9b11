"""Receivers of alerts: a signed webhook and a program.

Both have a deadline. A program is killed with its whole process group when its time is up; it gets
the JSON on standard input, the short fields in the environment, and no other secret of ours.
"""

import asyncio
import contextlib
import hashlib
import hmac
import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

import httpx

from supervisor.config.model import ExecHook, Webhook

_PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "USER", "XDG_RUNTIME_DIR")
_MAX_VARIABLE = 4096
_KILLED_SECONDS = 5.0


class DeliveryError(Exception):
    """The receiver did not take the alert; worth another attempt."""


class Sink(Protocol):
    """One receiver."""

    @property
    def key(self) -> str:
        """Identifies the receiver in the outbox across restarts."""

    @property
    def name(self) -> str:
        """For logs; never contains a secret."""

    async def send(self, message: str) -> None:
        """Deliver the JSON; DeliveryError when it was not taken in time."""


def signature(secret: bytes, body: bytes, at: int) -> str:
    """Value of `Glyph-Signature`: HMAC-SHA256 over `t.body`, `at` in Unix seconds."""
    digest = hmac.new(secret, f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={at},v1={digest}"


class WebhookSink:
    """POSTs the JSON; any answer but 2xx is a failure, redirects are not followed."""

    def __init__(self, webhook: Webhook) -> None:
        self._webhook = webhook
        self.key = "webhook:" + hashlib.sha256(webhook.url.encode()).hexdigest()[:16]
        # Webhook URLs often carry a token in their path: only the host is fit for a log.
        self.name = f"webhook {urlsplit(webhook.url).hostname}"

    async def send(self, message: str) -> None:
        """Deliver within the timeout; DeliveryError on any failure."""
        try:
            async with asyncio.timeout(self._webhook.timeout_seconds):
                await self._post(message.encode())
        except TimeoutError:
            raise DeliveryError(
                f"no answer within {self._webhook.timeout_seconds:g} seconds"
            ) from None
        except httpx.HTTPError as error:
            raise DeliveryError(f"{type(error).__name__}: {error}") from None
        except OSError as error:
            raise DeliveryError(f"the secret cannot be read: {error.strerror}") from None

    async def _post(self, body: bytes) -> None:
        headers = {"Content-Type": "application/json"}
        if self._webhook.secret_file is not None:
            # Read each time, so that a rotated secret is used at once.
            secret = await asyncio.to_thread(Path(self._webhook.secret_file).read_bytes)
            headers["Glyph-Signature"] = signature(secret.strip(), body, int(time.time()))
        async with (
            httpx.AsyncClient(follow_redirects=False, timeout=None) as client,
            client.stream("POST", self._webhook.url, content=body, headers=headers) as response,
        ):
            if not response.is_success:
                raise DeliveryError(f"answered {response.status_code}")


class ExecSink:
    """Runs a program without a shell; exit status 0 means taken."""

    def __init__(self, hook: ExecHook) -> None:
        self._hook = hook
        identity = "\0".join(hook.argv).encode("utf-8", "replace")
        self.key = "exec:" + hashlib.sha256(identity).hexdigest()[:16]
        self.name = f"program {Path(hook.argv[0]).name}"

    async def send(self, message: str) -> None:
        """Run the program to its end; DeliveryError if it fails or is killed at the timeout."""
        try:
            process = _start(self._hook.argv, message)
        except OSError as error:
            raise DeliveryError(f"cannot be started: {error.strerror}") from None
        try:
            async with asyncio.timeout(self._hook.timeout_seconds):
                await _exited(process)
        except TimeoutError:
            raise DeliveryError(f"killed after {self._hook.timeout_seconds:g} seconds") from None
        finally:
            await _finish(process)
        if process.returncode != 0:
            raise DeliveryError(f"exit status {process.returncode}")


def _start(argv: list[str], message: str) -> subprocess.Popen[bytes]:
    # A file in memory as standard input: unlike a pipe it never blocks us.
    stdin = os.memfd_create("glyph-alert")
    try:
        os.write(stdin, message.encode())
        os.lseek(stdin, 0, os.SEEK_SET)
        return subprocess.Popen(
            argv,
            stdin=stdin,
            stdout=subprocess.DEVNULL,
            env=_environment(message),
            cwd="/",
            start_new_session=True,
        )
    finally:
        os.close(stdin)


def _environment(message: str) -> dict[str, str]:
    environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    fields: dict[str, object] = json.loads(message)
    for name, value in fields.items():
        if isinstance(value, str):
            text = value.replace("\0", " ")[:_MAX_VARIABLE]
            environment[f"GLYPH_ALERT_{name.upper()}"] = text
    return environment


async def _exited(process: subprocess.Popen[bytes]) -> None:
    """Wait for the end without reaping: until `_finish` the pid cannot belong to another."""
    loop = asyncio.get_running_loop()
    over = asyncio.Event()
    pidfd = os.pidfd_open(process.pid)
    try:
        loop.add_reader(pidfd, over.set)
        await over.wait()
    finally:
        loop.remove_reader(pidfd)
        os.close(pidfd)


async def _finish(process: subprocess.Popen[bytes]) -> None:
    """Reap; kill the group first when the program itself still runs."""
    if not _has_ended(process):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        try:
            async with asyncio.timeout(_KILLED_SECONDS):
                await _exited(process)
        except TimeoutError:
            # Stuck in the kernel; waiting for it here would hold up the supervisor.
            raise DeliveryError("killed, but it does not end") from None
    process.wait()


def _has_ended(process: subprocess.Popen[bytes]) -> bool:
    return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
