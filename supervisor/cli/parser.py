"""The command line of `glyphctl`; argparse, because it starts in a millisecond."""

import argparse
import sys
from collections.abc import Callable
from typing import NoReturn

from supervisor import __version__
from supervisor.cli import acting, starting, watching
from supervisor.cli.exits import MEANINGS, Exit

Verb = Callable[[argparse.Namespace], int]

_EXIT_CODES = "exit codes:\n" + "\n".join(
    f"  {code.value:>3}  {meaning}" for code, meaning in MEANINGS.items()
)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One line and exit code 64, as everywhere in this product."""
        sys.stderr.write(f"{self.prog}: {message} (see {self.prog} --help)\n")
        raise SystemExit(Exit.USAGE)


def build_parser() -> argparse.ArgumentParser:
    """All verbs with their options."""
    parser = _Parser(
        prog="glyphctl",
        description="Run and watch Glyph Supervisor.",
        epilog=_EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"glyphctl {__version__}")
    common = _Parser(add_help=False)
    common.add_argument("--config", metavar="FILE", help="configuration file ($GLYPH_CONFIG)")
    common.add_argument("--socket", metavar="PATH", help="supervisor's socket ($GLYPH_SOCKET)")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True, parser_class=_Parser)

    def add(name: str, action: Verb, text: str) -> argparse.ArgumentParser:
        verb = verbs.add_parser(name, parents=[common], help=text, description=text)
        verb.set_defaults(action=action)
        return verb

    verb = add("run", starting.run, "supervise in the foreground until told to stop")
    verb.add_argument("--take-over", action="store_true", help="kill a supervisor that is stopped")
    verb = add("check", starting.check, "check the configuration, print the timing it implies")
    _add_json(verb)
    verb = add("status", watching.status, "print the state of everything")
    _add_json(verb)
    _add_acting(add)
    verb = add("events", watching.events, "print what happened and why, also with no supervisor")
    _add_json(verb)
    verb.add_argument("--limit", type=int, default=20, metavar="N", help="newest N (20)")
    verb.add_argument("-f", "--follow", action="store_true", help="go on with what happens next")
    verb = add("logs", watching.logs, "print the end of a child's output")
    verb.add_argument("name", nargs="?", default="worker-0", help="worker or `gateway` (worker-0)")
    verb.add_argument("-n", "--lines", type=int, default=40, metavar="N", help="lines (40)")
    verb.add_argument("-f", "--follow", action="store_true", help="go on with what is written next")
    add("version", _version, "print the version")
    return parser


def _add_acting(add: Callable[[str, Verb, str], argparse.ArgumentParser]) -> None:
    verb = add("stop", acting.stop, "finish what runs, stop everything; also leftovers")
    verb.add_argument("--reason", metavar="TEXT", help="kept in the journal")
    verb.add_argument("--no-drain", action="store_true", help="cut what runs")
    verb.add_argument("--timeout", type=_seconds, default=300.0, metavar="S", help="wait (300)")
    verb = add("restart", acting.restart, "replace a worker's process; clients notice nothing")
    verb.add_argument("worker", help="name of a worker, or `all` for one after the other")
    verb.add_argument("--reason", metavar="TEXT", help="kept in the journal; asked on a terminal")
    verb.add_argument("--wait", action="store_true", help="stay until the successor serves")
    verb.add_argument("--timeout", type=_seconds, default=300.0, metavar="S", help="wait (300)")
    _add_json(verb)
    add("handover", acting.handover, "let the supervisor exit without stopping its children")
    add("login-link", acting.login_link, "print a fresh one-time link to the console")


def _add_json(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("--json", action="store_true", help="print JSON")


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 < value < 1e6:
        raise ValueError(text)
    return value


def _version(_: argparse.Namespace) -> int:
    print(f"glyphctl {__version__}")
    return Exit.OK
