"""What `glyphctl stop` does when no supervisor lives: stop what an earlier one left behind."""

import asyncio
import signal
from dataclasses import dataclass

from supervisor.child.procfs import boot_id, is_alive
from supervisor.child.scan import Leftover, find_leftovers
from supervisor.child.signals import send_group
from supervisor.child.tree import Tree
from supervisor.child.wait import wait_gone
from supervisor.config.paths import Directories
from supervisor.core.effects import Record
from supervisor.core.model import Cause
from supervisor.runtime import fence
from supervisor.runtime.directories import remove_runtime
from supervisor.runtime.gateway_link import call
from supervisor.runtime.layout import GATEWAY, read_mark
from supervisor.store.journal import Journal


@dataclass(frozen=True, slots=True)
class Stopped:
    """One leftover and how it went: `stopped` by itself, or `killed`."""

    name: str
    pid: int
    epoch: str
    how: str


def stop_leftovers(
    directories: Directories, *, drain_seconds: float = 20.0, grace_seconds: float = 5.0
) -> list[Stopped]:
    """Stop gateway and workers of a dead supervisor and remove its runtime files.

    The gateway may finish its requests for `drain_seconds`, then every process has `grace_seconds`
    after SIGTERM. Raises StartError (exit code 75) when a supervisor lives after all.
    """
    if not directories.state.is_dir() or not directories.runtime.is_dir():
        return []
    held = fence.acquire(directories)
    journal = Journal(directories.journal, boot_id())
    try:
        term, _ = journal.next_term(held.earlier_term)
        held.sign(term)
        found = find_leftovers(directories.runtime)
        stopped = asyncio.run(_stop_all(found, term, drain_seconds, grace_seconds))
        _write_down(journal, stopped)
        remove_runtime(directories, keep_directory=False)
    finally:
        journal.close()
        held.close()
    return stopped


async def _stop_all(
    found: tuple[Leftover, ...], term: int, drain_seconds: float, grace_seconds: float
) -> list[Stopped]:
    """The gateway first, while the workers still serve what it has."""
    gateways = [leftover for leftover in found if _name(leftover) == GATEWAY]
    workers = [leftover for leftover in found if _name(leftover) != GATEWAY]
    body = {"drain_seconds": drain_seconds}
    draining: list[Leftover] = []
    for gateway in gateways:
        # A stopped one hears nothing until it is continued; one that hears nothing drains nothing.
        send_group(gateway.root, signal.SIGCONT)
        if await call(gateway.socket, "POST", "/control/stop", body, term):
            draining.append(gateway)
    await wait_gone([gateway.root for gateway in draining], drain_seconds)
    stopped: list[Stopped] = []
    for group in (gateways, workers):
        living = [leftover for leftover in group if is_alive(leftover.root)]
        for leftover in living:
            send_group(leftover.root, signal.SIGTERM)
            send_group(leftover.root, signal.SIGCONT)
        await wait_gone([leftover.root for leftover in living], grace_seconds)
        stopped += await asyncio.gather(*(_finish(leftover) for leftover in group))
    return stopped


async def _finish(leftover: Leftover) -> Stopped:
    tree = Tree(leftover.root, leftover.epoch)
    by_itself = await asyncio.to_thread(tree.is_gone)
    if not by_itself:
        await asyncio.to_thread(tree.kill)
    how = "stopped" if by_itself else "killed"
    return Stopped(_name(leftover), leftover.root.pid, leftover.epoch, how)


def _name(leftover: Leftover) -> str:
    mark = read_mark(leftover.socket)
    if mark is not None:
        return mark.slot
    prefix = leftover.socket.name.partition("-")[0]
    return GATEWAY if prefix == "gw" else prefix


def _write_down(journal: Journal, stopped: list[Stopped]) -> None:
    for one in stopped:
        reason = f"{one.how} without a supervisor"
        evidence = (("pid", one.pid),)
        journal.append(Record("death", one.name, one.epoch, Cause.SHUTDOWN, reason, evidence))
    for child in journal.children():
        journal.forget(child.epoch)
