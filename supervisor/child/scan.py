"""Find the processes of earlier supervisors by their arguments: an epoch and a socket in our
directory.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from supervisor.child.procfs import Stat, command_line, identity_of, snapshot
from supervisor.core.model import Identity

_SOCKET_OPTIONS = ("--socket", "--control")


@dataclass(frozen=True, slots=True)
class Leftover:
    """All living processes that carry one epoch in their arguments."""

    epoch: str
    socket: Path
    leader: Identity | None
    """The main process; None when it is dead and only forks of it are left."""
    members: tuple[Identity, ...]

    @property
    def root(self) -> Identity:
        """The main process, else the oldest one that is left."""
        return self.leader or min(self.members, key=lambda member: member.start_ticks)


def parse_arguments(argv: tuple[str, ...]) -> tuple[str, Path] | None:
    """Epoch and socket of a worker's or gateway's command line; None for anything else."""
    options = dict(pairwise(argv))
    epoch = options.get("--epoch")
    socket = next((options[name] for name in _SOCKET_OPTIONS if name in options), None)
    if epoch is None or socket is None:
        return None
    return epoch, Path(socket)


def find_leftovers(runtime: Path, table: Mapping[int, Stat] | None = None) -> tuple[Leftover, ...]:
    """Every epoch that still has a living process with a socket directly below `runtime`."""
    groups: dict[tuple[str, Path], list[Stat]] = {}
    for stat in (snapshot() if table is None else table).values():
        found = parse_arguments(command_line(stat.pid)) if stat.alive else None
        if found is not None and found[1].parent == runtime:
            groups.setdefault(found, []).append(stat)
    return tuple(_leftovers(groups))


def _leftovers(groups: dict[tuple[str, Path], list[Stat]]) -> Iterator[Leftover]:
    for (epoch, socket), stats in groups.items():
        leader = next((stat for stat in stats if stat.session == stat.pid), None)
        yield Leftover(
            epoch=epoch,
            socket=socket,
            leader=None if leader is None else identity_of(leader),
            members=tuple(identity_of(stat) for stat in stats),
        )
