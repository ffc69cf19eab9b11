"""Tell the story of one seed: `python -m tests.sim.show 42`."""

import sys

from tests.sim.run import Run


def main(seed: int) -> None:
    run = Run(seed)
    run.supervisor.narrate = print
    print(run.execute())


if __name__ == "__main__":
    main(int(sys.argv[1]))
