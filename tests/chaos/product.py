"""The whole product as a stranger starts it, on free ports, in directories of its own."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import yaml

READY_SECONDS = 90.0
GONE_SECONDS = 40.0


class Product:
    """One supervisor with its gateway and workers; processes are found by their directories."""

    def __init__(self, directory: Path, overrides: dict[str, Any]) -> None:
        self.directory = directory
        self.runtime = directory / "run"
        self.config = directory / "supervisor.yaml"
        self.log = directory / "supervisor.log"
        settings: dict[str, Any] = {
            "paths": {"state": str(directory / "state"), "runtime": str(self.runtime)},
            "gateway": {"port": 0},
            "console": {"port": 0},
        }
        for group, keys in overrides.items():
            settings[group] = (
                {**settings.get(group, {}), **keys} if isinstance(keys, dict) else keys
            )
        self.config.write_text(yaml.safe_dump(settings))
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the supervisor; `wait_ready` tells when it serves."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*GLYPHCTL, "run", "--config", str(self.config)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def ctl(self, *arguments: str, check: bool = True) -> str:
        """Run a `glyphctl` verb and give back what it printed."""
        done = subprocess.run(
            [*GLYPHCTL, *arguments, "--config", str(self.config)],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        if check and done.returncode != 0:
            raise AssertionError(
                f"glyphctl {arguments} -> {done.returncode}: {done.stderr}{done.stdout}"
            )
        return done.stdout

    def status(self) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self.ctl("status", "--json", check=False) or "{}")
        return answer

    def events(self) -> list[dict[str, Any]]:
        return [
            json.loads(line)
            for line in self.ctl("events", "--json", "--limit", "1000").splitlines()
        ]

    def wait_for(self, what: str, seconds: float, **states: str) -> dict[str, Any]:
        """Wait until `glyphctl status` shows these members with these values."""
        end = time.monotonic() + seconds
        status: dict[str, Any] = {}
        while time.monotonic() < end:
            status = self.status()
            if all(status.get(name) == value for name, value in states.items()):
                return status
            if self.process is not None and self.process.poll() is not None:
                raise AssertionError(
                    f"the supervisor exited {self.process.returncode}:\n{self.tail()}"
                )
            time.sleep(0.2)
        raise AssertionError(f"{what} not seen in {seconds} s; status {status}\n{self.tail()}")

    def wait_ready(self) -> dict[str, Any]:
        return self.wait_for("serving", READY_SECONDS, state="serving")

    def url(self) -> str:
        return str(self.status()["gateway"]["url"])

    def worker_pid(self) -> int:
        return int(self.status()["workers"][0]["pid"])

    def processes(self) -> list[psutil.Process]:
        """Every living process that names our runtime directory or configuration in its argv."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                line = " ".join(process.cmdline())
                ours = str(self.runtime) in line or str(self.config) in line
                if ours and process.status() != psutil.STATUS_ZOMBIE and process.pid != os.getpid():
                    found.append(process)
        return found

    def kill_supervisor(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait(10)

    def stop(self) -> int:
        """Ctrl-C, as an operator does it; the exit status."""
        assert self.process is not None
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(GONE_SECONDS)

    def clean(self) -> None:
        """Whatever happened: leave nothing running."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)
        for process in self.processes():
            with contextlib.suppress(psutil.Error):
                process.kill()

    def tail(self) -> str:
        return self.log.read_text(errors="replace")[-4000:] if self.log.exists() else ""


GLYPHCTL = [sys.executable, "-m", "supervisor"]


@contextlib.contextmanager
def running(**overrides: Any) -> Iterator[Product]:
    """A product that serves; killed at the end whatever happens. Socket paths must stay short."""
    with tempfile.TemporaryDirectory(prefix="glyph-") as name:
        product = Product(Path(name), overrides)
        try:
            product.start()
            product.wait_ready()
            yield product
        finally:
            product.clean()
