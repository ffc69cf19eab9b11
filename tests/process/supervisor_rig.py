"""A real supervisor with a real gateway and fake workers, in directories of its own."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx

from supervisor.child.scan import find_leftovers
from supervisor.child.tree import Tree
from supervisor.config.paths import Directories

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_SECONDS = 60.0
Json = dict[str, Any]
FAST: Json = {
    "gateway": {"port": 0, "death_verdict_seconds": 1.0, "keep_alive_seconds": 0.5},
    "console": {"port": 0},
    "lifecycle": {"drain_seconds": 5.0, "stop_seconds": 2.0},
    "probing": {
        "tick_seconds": 0.2,
        "health_seconds": 0.5,
        "late_tick_seconds": 1.5,
        "hang": {"idle_seconds": 2.0, "decode_seconds": 2.0, "prefill_seconds": 2.0},
    },
}


def merge(base: Json, over: Json) -> Json:
    result = dict(base)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = merge(result[key], value) if both else value
    return result


class SupervisorRig:
    """Starts supervisors one after the other on the same directories."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.directories = Directories(base / "state", base / "run")
        self.environment: dict[str, str] = {}
        self.processes: list[subprocess.Popen[str]] = []
        self.settings: Json = {
            "configuration": FAST,
            "state": str(self.directories.state),
            "runtime": str(self.directories.runtime),
        }

    def configure(self, **groups: object) -> None:
        self.settings["configuration"] = merge(self.settings["configuration"], groups)

    def write_configuration(self) -> None:
        """What a reload reads."""
        (self.base / "config.json").write_text(json.dumps(self.settings["configuration"]))

    def launch(self, *arguments: str) -> "subprocess.Popen[str]":
        """Start a supervisor and do not wait for anything."""
        path = self.base / "settings.json"
        path.write_text(json.dumps(self.settings))
        self.write_configuration()
        with open(self.base / "supervisor.log", "ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "tests.process.daemon_entry", str(path), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                cwd=ROOT,
                env={**os.environ, **self.environment},
                start_new_session=True,
            )
        self.processes.append(process)
        return process

    def start(self, *arguments: str) -> Json:
        """Start a supervisor, wait until it serves, return its status."""
        process = self.launch(*arguments)
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, f"it did not start: {self.log()}"
        return self.until(lambda status: status["state"] == "serving")

    def log(self) -> str:
        return (self.base / "supervisor.log").read_text()

    @property
    def process(self) -> "subprocess.Popen[str]":
        return self.processes[-1]

    def call(self, method: str, path: str, **body: object) -> httpx.Response:
        transport = httpx.HTTPTransport(uds=str(self.directories.control_socket))
        with httpx.Client(transport=transport, base_url="http://local", timeout=20) as client:
            return client.request(method, path, json=body or None)

    def status(self) -> Json:
        content: Json = self.call("GET", "/api/v1/status").json()
        return content

    def events(self, kind: str | None = None) -> list[Json]:
        text = self.call("GET", "/api/v1/events?limit=1000").text
        events = [json.loads(line) for line in text.splitlines()]
        return [event for event in events if kind in (None, event["kind"])]

    def until(self, condition: Callable[[Json], bool]) -> Json:
        """The first status that fulfils the condition."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        status: Json = {}
        while time.monotonic() < deadline:
            if self._listens():
                with contextlib.suppress(httpx.HTTPError):
                    status = self.status()
                    if condition(status):
                        return status
            time.sleep(0.05)
        raise AssertionError(f"never came true: {status}\n{self.log()}")

    def until_silent(self) -> None:
        """Until nobody listens on the control socket any more."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self._listens():
            assert time.monotonic() < deadline, self.log()
            time.sleep(0.02)

    def _listens(self) -> bool:
        # httpx leaves the socket of a refused connection to the garbage collector.
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as trying:
            return trying.connect_ex(str(self.directories.control_socket)) == 0

    def ask(self, status: Json, prompt: str = "hello", **extra: object) -> Json:
        """One chat completion through the gateway."""
        message = {"role": "user", "content": prompt}
        body = {"model": "any", "messages": [message], "max_tokens": 8, **extra}
        url = status["gateway"]["url"] + "/v1/chat/completions"
        response = httpx.post(url, json=body, timeout=30)
        assert response.status_code == 200, response.text
        content: Json = response.json()
        return content

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def kill(self) -> None:
        """The supervisor dies without a word."""
        self.process.kill()
        self.process.wait()

    def left_processes(self) -> list[int]:
        found = find_leftovers(self.directories.runtime)
        return [member.pid for leftover in found for member in leftover.members]

    def close(self) -> None:
        for process in self.processes:
            if process.poll() is None:
                process.kill()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()
        for leftover in find_leftovers(self.directories.runtime):
            Tree(leftover.root, leftover.epoch).kill()


@contextlib.contextmanager
def supervisor_rig() -> Iterator[SupervisorRig]:
    # pytest's own directories are too long for Unix sockets.
    with tempfile.TemporaryDirectory(prefix="glyph-", dir="/tmp") as directory:
        rig = SupervisorRig(Path(directory))
        try:
            yield rig
        finally:
            rig.close()


def is_process(pid: int) -> bool:
    return os.path.exists(f"/proc/{pid}")
