"""Which supervisor is meant: its socket, its directories, its configuration file."""

import os
from argparse import Namespace
from dataclasses import dataclass
from pathlib import Path

from supervisor.cli.client import Client
from supervisor.cli.exits import CommandError, Exit
from supervisor.config.paths import (
    SYSTEM_RUNTIME,
    Directories,
    RuntimePathTooLongError,
    default_config_path,
    find_clone,
    resolve,
)


@dataclass(frozen=True, slots=True)
class _ConfiguredPaths:
    state: str | None
    runtime: str | None


def config_path(arguments: Namespace) -> Path:
    """--config, $GLYPH_CONFIG, the clone's, the system's."""
    if arguments.config:
        return Path(arguments.config)
    return default_config_path(os.environ, find_clone())


def client(arguments: Namespace) -> Client:
    """The client of the named socket, else of the configured directory, else of the system's.

    The system's is asked only when the clone this runs from has no supervisor of its own.
    """
    named = named_socket(arguments)
    if named:
        return Client(named)
    own = own_client(arguments)
    system = SYSTEM_RUNTIME / own.path.name
    elsewhere = not arguments.config and not own.path.exists() and system.exists()
    return Client(system) if elsewhere else own


def own_client(arguments: Namespace) -> Client:
    """The client of the named socket or the configured directory, never of another instance.

    What stops everything must not stop the system's service because the clone's is down.
    """
    return Client(named_socket(arguments) or directories(arguments).control_socket)


def named_socket(arguments: Namespace) -> Path | None:
    """--socket, else $GLYPH_SOCKET unless --config says more; then no directories are known."""
    if arguments.socket:
        return Path(arguments.socket)
    inherited = None if arguments.config else os.environ.get("GLYPH_SOCKET")
    return Path(inherited) if inherited else None


def directories(arguments: Namespace) -> Directories:
    """State and runtime directory by the `paths:` of the configuration, if it can be read."""
    path = config_path(arguments)
    if arguments.config and not path.exists():
        raise CommandError(Exit.CONFIGURATION, f"{path}: there is no such configuration file")
    try:
        return resolve(_configured_paths(path), os.environ, find_clone())
    except RuntimePathTooLongError as error:
        raise CommandError(Exit.CONFIGURATION, str(error)) from None


def _configured_paths(path: Path) -> _ConfiguredPaths | None:
    """Only the two paths: what else is wrong with the file must not keep anybody from `status`."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return None
    if not any(line.startswith(("paths:", "{")) for line in text.splitlines()):
        return None
    from supervisor.config.document import parse

    root = parse(text, str(path)).value
    group = root.get("paths") if isinstance(root, dict) else None
    if not isinstance(group, dict):
        return None
    state, runtime = group.get("state"), group.get("runtime")
    return _ConfiguredPaths(
        state if isinstance(state, str) else None, runtime if isinstance(runtime, str) else None
    )
