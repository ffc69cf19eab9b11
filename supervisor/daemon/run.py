"""The supervisor's life, and one line on standard error when it cannot begin."""

import asyncio
import logging
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from supervisor.alerts.model import Alert
from supervisor.alerts.outbox import Outbox
from supervisor.config.model import Configuration
from supervisor.config.paths import Directories
from supervisor.daemon.prelude import prepare_ground
from supervisor.daemon.supervisor import Supervisor
from supervisor.runtime import fence
from supervisor.runtime.directories import prepare, remove_runtime
from supervisor.runtime.errors import StartError
from supervisor.runtime.programs import Programs

_LOG = logging.getLogger(__name__)
EX_SOFTWARE = 70
EX_INTERRUPTED = 130
"""Ctrl-C before anything was started."""


@dataclass(frozen=True, slots=True)
class Announcement:
    """Where everything is, once it is worth opening."""

    gateway_url: str
    console_url: str
    login_link: str


def run_daemon(
    configuration: Configuration,
    config_path: Path,
    directories: Directories,
    *,
    take_over: bool = False,
    announce: Callable[[Announcement], None] | None = None,
    programs: Programs | None = None,
) -> int:
    """Supervise until told to stop, and return the exit code.

    0 stopped or handed over; 69 a port is busy; 70 a defect of ours, children go on; 73 and 77 a
    directory; 75 another supervisor holds the fence.
    """
    _log_to_stderr(configuration.logs.level)
    try:
        prepare(directories)
        held = fence.acquire(directories, take_over=take_over)
    except StartError as error:
        sys.stderr.write(f"glyph: {error}\n")
        return error.exit_code
    outbox = Outbox(directories.alerts, configuration.alerts)

    def on_trouble(text: str) -> None:
        _LOG.error("%s", text)
        outbox.post(Alert(key="journal", severity="critical", status="firing", title=text))

    try:
        ground = prepare_ground(configuration, config_path, directories, held, on_trouble)
        supervisor = Supervisor(ground, outbox, programs or Programs(), announce_to(announce))
        handed_over = asyncio.run(supervisor.run())
        if not handed_over:
            remove_runtime(directories, keep_directory="RUNTIME_DIRECTORY" in os.environ)
    except StartError as error:
        sys.stderr.write(f"glyph: {error}\n")
        return error.exit_code
    except KeyboardInterrupt:
        return EX_INTERRUPTED
    except Exception:  # noqa: BLE001 - logged whole; the children go on and the next start adopts them
        _LOG.exception("the supervisor failed")
        return EX_SOFTWARE
    finally:
        outbox.close()
        held.close()
    return 0


def announce_to(
    announce: Callable[[Announcement], None] | None,
) -> Callable[[str, str, str], None]:
    """The supervisor's way to announce itself, whoever listens."""

    def tell(gateway_url: str, console_url: str, login_link: str) -> None:
        if announce is not None:
            announce(Announcement(gateway_url, console_url, login_link))

    return tell


def _log_to_stderr(level: str) -> None:
    logging.basicConfig(level=level.upper(), format="%(levelname)s %(name)s: %(message)s")
    # It would tell of every probe.
    logging.getLogger("httpx").setLevel(logging.WARNING)
