"""Verbs that read the configuration: run and check."""

import json
import logging
import os
import shlex
import sys
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from supervisor.cli import place
from supervisor.cli.exits import CommandError, Exit
from supervisor.cli.text import say

if TYPE_CHECKING:
    from supervisor.config.document import ConfigurationError
    from supervisor.config.model import Configuration

_DOCUMENT = (
    "The lighthouse keeper climbed one hundred and ninety-nine steps every evening. "
    "He trimmed the wick, wound the clockwork and wrote the weather into his book."
)
_QUESTION = "How many steps did the keeper climb?"


class Addresses(Protocol):
    """Where everything is, once the supervisor serves."""

    @property
    def gateway_url(self) -> str:
        """Public API."""

    @property
    def console_url(self) -> str:
        """The operator's page."""

    @property
    def login_link(self) -> str:
        """The operator's page with a one-time login."""


def run(arguments: Namespace) -> int:
    """Supervise in the foreground until told to stop."""
    path = place.config_path(arguments)
    configuration = _load(path)
    _configure_logging(configuration.logs.level)
    from supervisor.config.paths import RuntimePathTooLongError, find_clone, resolve
    from supervisor.daemon.run import run_daemon

    try:
        directories = resolve(configuration.paths, os.environ, find_clone())
    except RuntimePathTooLongError as error:
        raise CommandError(Exit.CONFIGURATION, str(error)) from None
    return run_daemon(
        configuration,
        path.absolute(),
        directories,
        take_over=arguments.take_over,
        announce=_announcer(),
    )


def _announcer() -> Callable[[Addresses], None]:
    """Tells people where to go; a login link is for a terminal, never for a log."""
    for_people = sys.stdout.isatty() or "JOURNAL_STREAM" not in os.environ

    def announce(addresses: Addresses) -> None:
        if for_people:
            print(welcome(addresses), flush=True)
        else:
            logging.getLogger(__name__).info(
                "gateway %s, console %s", addresses.gateway_url, addresses.console_url
            )

    return announce


def welcome(addresses: Addresses) -> str:
    """The first thing people see when everything serves."""
    return f"""
  Gateway   {addresses.gateway_url}
  Console   {addresses.login_link}
            (logs in once; a fresh link: glyphctl login-link)

  Try it:

{example(addresses.gateway_url)}

  Ctrl-C finishes what runs and stops everything.
"""


def example(gateway_url: str) -> str:
    """A command to paste: a document and a question, the answer streamed."""
    body = {
        "stream": True,
        "max_tokens": 64,
        "glyph": {"mode": "always"},
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": _DOCUMENT},
                    {"type": "text", "text": _QUESTION},
                ],
            }
        ],
    }
    text = json.dumps(body)
    return (
        f"  curl -N {gateway_url}/v1/chat/completions \\\n"
        "    -H 'Content-Type: application/json' \\\n"
        f"    -d {shlex.quote(text)}"
    )


def check(arguments: Namespace) -> int:
    """Check the configuration; print the timing it implies."""
    path = place.config_path(arguments)
    from supervisor.config.check import inequalities, pause_seconds
    from supervisor.config.decode import load
    from supervisor.config.document import ConfigurationError

    try:
        configuration = load(path)
    except ConfigurationError as error:
        if arguments.json:
            print(json.dumps({"ok": False, "file": str(path), "problems": _rows(error)}))
        else:
            say(str(error))
            say(f"{len(error.problems)} problem(s)")
        return Exit.CONFIGURATION
    timing = inequalities(configuration)
    if arguments.json:
        answer = {
            "ok": True,
            "file": str(path),
            "problems": [],
            "longest_pause_seconds": pause_seconds(configuration),
            "timing": [str(inequality) for inequality in timing],
        }
        print(json.dumps(answer, ensure_ascii=False))
        return Exit.OK
    print(f"{path}: correct")
    print(f"longest pause of a restart in place: {pause_seconds(configuration):g} s")
    for inequality in timing:
        print(f"  {inequality}")
    return Exit.OK


def _rows(error: "ConfigurationError") -> list[dict[str, object]]:
    return [
        {"line": row.line, "column": row.column, "path": row.path, "message": row.message}
        for row in error.problems
    ]


def _load(path: Path) -> "Configuration":
    from supervisor.config.decode import load
    from supervisor.config.document import ConfigurationError

    try:
        return load(path)
    except ConfigurationError as error:
        raise CommandError(Exit.CONFIGURATION, str(error)) from None


def _configure_logging(level: str) -> None:
    """One line per piece of news; under systemd with its level prefix instead of the time."""
    handler = logging.StreamHandler(sys.stderr)
    if "JOURNAL_STREAM" in os.environ:
        handler.setFormatter(_JournalFormatter("%(message)s"))
    else:
        handler.setFormatter(logging.Formatter("%(asctime)s  %(message)s", datefmt="%H:%M:%S"))
    logging.basicConfig(level=level.upper(), handlers=[handler])
    # It reports every request of the control plane as news.
    logging.getLogger("httpx").setLevel(logging.WARNING)


_PRIORITIES = {"DEBUG": 7, "INFO": 6, "WARNING": 4, "ERROR": 3, "CRITICAL": 2}


class _JournalFormatter(logging.Formatter):
    """Prefixes lines with the priority that systemd reads (sd-daemon(3))."""

    def format(self, record: logging.LogRecord) -> str:
        """Every line of a message gets the prefix."""
        prefix = f"<{_PRIORITIES.get(record.levelname, 6)}>"
        return "\n".join(prefix + line for line in super().format(record).splitlines())
