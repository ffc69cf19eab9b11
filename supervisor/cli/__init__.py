"""`glyphctl`: the operator's verbs."""

import os
import sys
from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb and return its exit code."""
    from supervisor.cli.exits import CommandError, Exit
    from supervisor.cli.parser import build_parser

    arguments = build_parser().parse_args(argv)
    try:
        return int(arguments.action(arguments))
    except CommandError as error:
        print(f"glyphctl: {error}", file=sys.stderr)
        return error.code
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except BrokenPipeError:
        # The reader (`| head`) has seen enough; keep the interpreter from complaining at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.OK
