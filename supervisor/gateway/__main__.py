"""`python -m supervisor.gateway --config FILE --epoch EPOCH --control PATH --listen-fd N`."""

import argparse
import asyncio
import logging
import os
import re
import resource
import signal
import socket
import sys
from pathlib import Path
from typing import NoReturn

from pydantic import ValidationError

from supervisor.config.model import Configuration
from supervisor.gateway.exits import CONFIGURATION, TEMPORARY, USAGE, write_exit
from supervisor.gateway.process import Place, Process


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(USAGE, f"{self.prog}: {message}\n")


def main(argv: list[str]) -> int:
    """Run the gateway; returns its exit code."""
    arguments = _parse(argv)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal's Ctrl-C is the supervisor's
    try:
        configuration = Configuration.model_validate_json(Path(arguments.config).read_bytes())
    except (OSError, ValidationError) as error:
        return _fail(arguments, CONFIGURATION, f"configuration {arguments.config}: {error}")
    logging.basicConfig(
        level=configuration.logs.level.upper(),
        format="%(asctime)s %(levelname)s %(name)s %(message)s",
    )
    logging.getLogger("uvicorn.error").addFilter(_expected_aborts)
    listener = _inherited(arguments.listen_fd, configuration.gateway.total_seconds)
    if listener is None:
        return _fail(arguments, USAGE, f"descriptor {arguments.listen_fd} is no listening socket")
    _raise_descriptor_limit()
    place = Place(arguments.epoch, arguments.control, listener)
    try:
        return asyncio.run(_serve(configuration, place))
    except OSError as error:
        return _fail(arguments, TEMPORARY, str(error))


async def _serve(configuration: Configuration, place: Place) -> int:
    return await Process(configuration.gateway, place).run()


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = _Parser(prog="python -m supervisor.gateway", allow_abbrev=False)
    parser.add_argument("--config", required=True)
    parser.add_argument("--epoch", required=True)
    parser.add_argument("--control", required=True)
    parser.add_argument("--listen-fd", required=True, type=int)
    arguments = parser.parse_args(argv)
    if not re.fullmatch(r"[0-9a-f]{32}", arguments.epoch):
        parser.error("--epoch must be 32 lower-case hex digits")
    return arguments


def _inherited(descriptor: int, total_seconds: float) -> socket.socket | None:
    """The listening socket, or None if the descriptor is none.

    Its connections inherit TCP_USER_TIMEOUT, so that a client that reads nothing for as long as a
    request may last cannot keep a closed connection's buffer for ever.
    """
    try:
        listener = socket.socket(fileno=descriptor)
        if not listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            return None
    except (OSError, ValueError):
        return None
    os.set_inheritable(descriptor, False)
    if listener.family in (socket.AF_INET, socket.AF_INET6):
        listener.setsockopt(
            socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(max(1.0, total_seconds) * 1000)
        )
    return listener


def _raise_descriptor_limit() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _expected_aborts(record: logging.LogRecord) -> bool:
    """Bodies left without their end are how late errors are told, not faults to log."""
    return "without completing response" not in record.getMessage()


def _fail(arguments: argparse.Namespace, code: int, reason: str) -> int:
    sys.stderr.write(f"gateway: {reason}\n")
    write_exit(f"{arguments.control}.exit.json", arguments.epoch, code, reason)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
