"""`python -m inference`: command line, configuration file, exit codes."""

from __future__ import annotations

import argparse
import json
import logging
import re
import sys
import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NoReturn

from inference.config import EMBEDDED, ConfigError, InferenceConfig, decode
from inference.config.decode import ConfigProblem

EXIT_OK, EXIT_USAGE, EXIT_CONFIG = 0, 64, 78
_EPOCH = re.compile(r"[0-9a-f]{32}")
_LONGEST_SOCKET_PATH_BYTES = 107  # sockaddr_un has 108 with the final zero


@dataclass(frozen=True, slots=True)
class Options:
    """The command line, checked."""

    config: Path
    epoch: str
    socket: Path | None
    port: int | None
    check: bool


class _Parser(argparse.ArgumentParser):
    """argparse exits with 2 where sysexits.h, and docs/wire.md, say 64."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and end."""
        self.print_usage(sys.stderr)
        self.exit(EXIT_USAGE, f"inference: {message}\n")


def parse_options(arguments: Sequence[str]) -> Options:
    """The command line; ends the process with 64 when it is wrong."""
    parser = _Parser(
        prog="python -m inference",
        description="Serve a Glm4v-class model that reads text drawn to pages.",
        epilog="Exit codes: 0 stopped, 64 usage, 75 temporary failure, 78 configuration.",
    )
    parser.add_argument(
        "--config", type=Path, required=True, help="YAML or JSON file with the key `inference`"
    )
    parser.add_argument("--epoch", help="name of this generation: 32 lower-case hex digits")
    place = parser.add_mutually_exclusive_group()
    place.add_argument("--socket", type=Path, help="path of the Unix socket to serve on")
    place.add_argument("--port", type=int, help="loopback port to serve on")
    parser.add_argument(
        "--check", action="store_true", help="print problems of the configuration as JSON and end"
    )
    found = parser.parse_args(arguments)
    epoch = found.epoch or uuid.uuid4().hex
    if not _EPOCH.fullmatch(epoch):
        parser.error("--epoch must be 32 lower-case hex digits")
    if not found.check and found.socket is None and found.port is None:
        parser.error("one of --socket and --port is needed")
    if found.port is not None and not 0 < found.port < 65536:
        parser.error("--port must be 1 to 65535")
    if found.socket and len(bytes(found.socket.absolute())) > _LONGEST_SOCKET_PATH_BYTES:
        parser.error(f"the path of --socket may have {_LONGEST_SOCKET_PATH_BYTES} bytes")
    return Options(found.config, epoch, found.socket, found.port, found.check)


def load_config(path: Path) -> InferenceConfig:
    """The configuration in a file. Raises ConfigError."""
    import yaml

    try:
        raw = yaml.safe_load(path.read_text("utf-8"))
    except OSError as error:
        raise _config_error("config", f"cannot read {path}: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise _config_error("config", f"{path} is neither YAML nor JSON: {error}") from error
    if not isinstance(raw, dict) or "inference" not in raw:
        raise _config_error("inference", f"{path} has no key `inference`")
    config = decode(raw["inference"])
    if config.model != EMBEDDED and not (Path(config.model) / "config.json").is_file():
        raise _config_error("inference.model", f"{config.model} is not a checkpoint directory")
    return config


def _config_error(path: str, message: str) -> ConfigError:
    return ConfigError((ConfigProblem(path, message),))


def _machine_problems(config: InferenceConfig) -> tuple[ConfigProblem, ...]:
    from inference.fonts import font_problems

    return font_problems(config)


def main(arguments: Sequence[str] | None = None) -> int:
    """Check the configuration or serve; the exit code."""
    options = parse_options(sys.argv[1:] if arguments is None else arguments)
    logging.basicConfig(
        stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s"
    )
    problems: tuple[ConfigProblem, ...] = ()
    try:
        config = load_config(options.config)
        problems = _machine_problems(config)
    except ConfigError as error:
        problems = error.problems
    if options.check:
        print(json.dumps([asdict(problem) for problem in problems]))  # noqa: T201
        return EXIT_CONFIG if problems else EXIT_OK
    if problems:
        for problem in problems:
            logging.error("%s: %s", problem.path, problem.message)
        return EXIT_CONFIG
    from inference.server import serve

    return serve(config, options.epoch, options.socket, options.port)


if __name__ == "__main__":
    sys.exit(main())
