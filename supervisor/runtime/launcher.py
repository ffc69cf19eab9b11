"""From an intent to a followed process."""

from pathlib import Path

from supervisor.child.children import Child
from supervisor.child.logs import prune
from supervisor.child.procfs import identify
from supervisor.child.spawn import Launch, launch
from supervisor.child.tree import Tree
from supervisor.core.effects import Spawn
from supervisor.core.model import Identity
from supervisor.runtime.layout import GATEWAY, Mark, write_mark, write_private
from supervisor.runtime.programs import configuration_text, environment_of
from supervisor.runtime.world import World


def start(world: World, order: Spawn) -> Child:
    """Write its files and start it, blocking for milliseconds. OSError when that fails."""
    slot, epoch = order.slot, order.epoch
    socket = world.layout.socket(slot, epoch)
    log = world.layout.log(slot, order.number)
    write_private(Path(f"{socket}.config.json"), configuration_text(world.configuration, slot))
    write_mark(socket, Mark(slot, epoch, order.number))
    prune(log.parent, slot, order.number)
    group = None
    if world.delegation is not None:
        group = world.delegation.create(f"{slot}-g{order.number}")
    listen_fd = world.listening.fileno() if slot == GATEWAY else None
    process = launch(
        Launch(
            argv=world.programs.argv(slot, epoch, socket, listen_fd),
            environment=environment_of(world.configuration, slot, epoch),
            log=log,
            pass_fds=() if listen_fd is None else (listen_fd,),
            group=group,
        )
    )
    identity = identify(process.pid)
    if identity is None:
        raise ProcessLookupError(f"the new process {process.pid} is not in /proc")
    child = make_child(world, slot, epoch, order.number, identity)
    child.process = process
    return child


def make_child(world: World, slot: str, epoch: str, number: int, identity: Identity) -> Child:
    """A child with the files and the cgroup its generation has by convention."""
    group = world.group_of(slot, number)
    return Child(
        slot=slot,
        epoch=epoch,
        number=number,
        identity=identity,
        socket=world.layout.socket(slot, epoch),
        log=world.layout.log(slot, number),
        tree=Tree(identity, epoch, group),
    )
