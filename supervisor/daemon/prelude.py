"""What happens before the event loop: directories, fence, journal, sockets. Nothing is started
here.
"""

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from socket import socket as Socket  # noqa: N812 - a class, whatever its case

from supervisor.child.procfs import boot_id
from supervisor.child.tree import Tree
from supervisor.config.model import Configuration
from supervisor.config.paths import Directories
from supervisor.daemon.servers import bind_control
from supervisor.runtime.adoption import Survey, fence_unknown, survey
from supervisor.runtime.errors import StartError
from supervisor.runtime.fence import Fence
from supervisor.runtime.layout import GATEWAY, Layout
from supervisor.runtime.listener import Address, ask_gateway, bind, choose_passed, fits
from supervisor.runtime.notify import take_passed_sockets
from supervisor.store.codec import ChildMemory
from supervisor.store.journal import Journal

_LOG = logging.getLogger(__name__)
_CONSOLE_BACKLOG = 128


@dataclass(frozen=True, slots=True)
class Ground:
    """Everything the event loop finds ready."""

    configuration: Configuration
    config_path: Path
    layout: Layout
    journal: Journal
    term: int
    found: Survey
    public: Socket
    console: Socket
    control: Socket


def prepare_ground(
    configuration: Configuration,
    config_path: Path,
    directories: Directories,
    fence: Fence,
    on_trouble: Callable[[str], None],
) -> Ground:
    """Take what is ours and look at what is left; StartError when it cannot be had.

    When it fails children of an earlier supervisor go on undisturbed.
    """
    layout = Layout(directories, tuple(worker.name for worker in configuration.workers))
    passed = take_passed_sockets(os.environ)
    settings = configuration.console
    console = bind(Address(settings.host, settings.port, "console"), _CONSOLE_BACKLOG)
    journal = Journal(directories.journal, boot_id(), on_trouble)
    try:
        if journal.problem:
            on_trouble(f"a new journal was begun: {journal.problem}")
        found = survey(layout, journal)
        public, found = find_public_socket(configuration, passed, found)
        control = bind_control(directories.control_socket)
    except StartError:
        console.close()
        journal.close()
        raise
    term, written = journal.next_term(fence.earlier_term)
    fence.sign(term)
    written.result()
    fence_unknown(found, journal, directories.runtime)
    return Ground(
        configuration, config_path, layout, journal, term, found, public, console, control
    )


def find_public_socket(
    configuration: Configuration, passed: list[Socket], found: Survey
) -> tuple[Socket, Survey]:
    """The public socket, and the survey without a gateway that is of no use for it.

    A living gateway on another address than the configured one, or one that neither hands its
    socket back nor lets go of it, is killed: its clients are lost, but nobody else would serve new
    ones.
    """
    gateway = configuration.gateway
    address = Address(gateway.host, gateway.port, GATEWAY)
    chosen = choose_passed(passed, address)
    mute: list[ChildMemory] = []
    for child in (child for child in found.living if child.slot == GATEWAY):
        back = ask_gateway(Path(child.socket))
        if back is None:
            mute.append(child)
        elif not fits(back, address):
            _LOG.warning("the gateway listens elsewhere than configured and is replaced")
            back.close()
            found = _without(found, child)
        elif chosen is None:
            chosen = back
        else:
            back.close()
    if chosen is not None:
        return chosen, found
    try:
        return bind(address, gateway.backlog), found
    except StartError:
        if not mute:
            raise
    for child in mute:
        _LOG.warning("the gateway does not hand its socket back and is replaced")
        found = _without(found, child)
    return bind(address, gateway.backlog), found


def _without(found: Survey, gateway: ChildMemory) -> Survey:
    """Kill this gateway and count it among the dead."""
    assert gateway.identity is not None
    Tree(gateway.identity, gateway.epoch).kill()
    living = tuple(child for child in found.living if child.epoch != gateway.epoch)
    return replace(found, living=living, dead=(*found.dead, gateway))
