"""What the parts of the runtime share: configuration, places, children, journal, the way to post
events.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from socket import socket as Socket  # noqa: N812 - a class, whatever its case

from supervisor.child.cgroup import Delegation
from supervisor.child.children import Children
from supervisor.config.model import Configuration
from supervisor.core.events import Event
from supervisor.runtime.layout import Layout
from supervisor.runtime.programs import Programs
from supervisor.store.journal import Journal


@dataclass(slots=True)
class World:
    """One supervisor's surroundings. Only `configuration` changes, at a reload."""

    configuration: Configuration
    layout: Layout
    programs: Programs
    journal: Journal
    children: Children
    listening: Socket
    term: int
    post: Callable[[Event], None]
    delegation: Delegation | None = None

    def group_of(self, slot: str, number: int) -> Path | None:
        """The cgroup of a generation, if there is delegation."""
        return None if self.delegation is None else self.delegation.base / f"{slot}-g{number}"
