"""Performs effects on processes. Each is a task of its own, those of one epoch in order.

Whatever may block runs in a thread or has a deadline; results return as events of that epoch.
"""

import asyncio
import logging
import signal
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from pathlib import Path

from supervisor.child import cgroup
from supervisor.child.children import Child
from supervisor.child.scan import find_leftovers
from supervisor.child.signals import send_group
from supervisor.child.tree import Tree
from supervisor.core import effects as fx
from supervisor.core.events import MemoryRead, Spawned, SpawnFailed, TreeGone, WarmUpDone
from supervisor.core.model import Generation
from supervisor.probes.gpu_memory import read_memory
from supervisor.probes.health import read_gateway
from supervisor.probes.warm_up import warm_up
from supervisor.runtime import clock, launcher
from supervisor.runtime.gateway_link import call
from supervisor.runtime.layout import GATEWAY, remove_files
from supervisor.runtime.world import World

_LOG = logging.getLogger(__name__)
_MEMORY_SECONDS = 5.0

ProcessEffect = (
    fx.Spawn
    | fx.Terminate
    | fx.StopGateway
    | fx.KillTree
    | fx.CheckGone
    | fx.CheckMemory
    | fx.WarmUp
    | fx.Forget
)


class Actuator:
    """The hands on the children."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._last: dict[str, asyncio.Task[None]] = {}
        """Newest ordered task of each epoch."""
        self._looks: dict[tuple[str, str], asyncio.Task[None]] = {}
        """Looks under way: never two of one kind at one epoch."""

    def intend(self, effect: fx.Spawn) -> "Future[bool]":
        """Write down that this process is about to exist."""
        socket = self._world.layout.socket(effect.slot, effect.epoch)
        return self._world.journal.intend(effect.slot, effect.epoch, effect.number, socket)

    def perform(self, effect: ProcessEffect) -> None:
        """Begin an effect; returns at once."""
        match effect:
            case fx.Spawn(epoch=epoch):
                self._in_order(epoch, lambda: self._spawn(effect))
            case fx.Terminate(generation):
                self._in_order(generation.epoch, lambda: self._terminate(generation))
            case fx.KillTree(generation):
                self._in_order(generation.epoch, lambda: self._kill(generation))
            case fx.Forget(generation):
                self._in_order(generation.epoch, lambda: self._forget(generation))
            case fx.StopGateway(generation, drain_seconds):
                self._look("stop", generation, lambda: self._stop(generation, drain_seconds))
            case fx.CheckGone(generation):
                self._look("gone", generation, lambda: self._check_gone(generation))
            case fx.CheckMemory(generation):
                self._look("memory", generation, lambda: self._check_memory(generation))
            case fx.WarmUp(generation):
                self._look("warm", generation, lambda: self._warm_up(generation))

    async def close(self) -> None:
        """Wait for what is under way in the given order; give up what only looks."""
        for look in tuple(self._looks.values()):
            look.cancel()
        tasks = (*self._looks.values(), *self._last.values())
        if tasks:
            await asyncio.wait(tasks)

    def _in_order(self, epoch: str, work: Callable[[], Awaitable[None]]) -> None:
        before = self._last.get(epoch)

        async def run() -> None:
            if before is not None:
                await asyncio.wait([before])
            await _guarded(work, epoch)
            if self._last.get(epoch) is asyncio.current_task():
                del self._last[epoch]

        self._last[epoch] = asyncio.create_task(run(), name=f"effect {epoch[:8]}")

    def _look(self, kind: str, generation: Generation, work: Callable[[], Awaitable[None]]) -> None:
        key = (kind, generation.epoch)
        if key in self._looks:
            return
        task = asyncio.create_task(_guarded(work, generation.epoch), name=f"{kind} {key[1][:8]}")
        self._looks[key] = task
        task.add_done_callback(lambda _: self._looks.pop(key, None))

    async def _spawn(self, effect: fx.Spawn) -> None:
        try:
            child = await asyncio.to_thread(launcher.start, self._world, effect)
        except OSError as error:
            text = f"{error.strerror or error}: {error.filename or effect.slot}"
            self._world.post(SpawnFailed(clock.now(), effect.epoch, text))
            return
        self._world.journal.identify(effect.epoch, child.identity)
        self._world.children.watch(child)
        self._world.post(Spawned(clock.now(), effect.epoch, child.identity))

    async def _terminate(self, generation: Generation) -> None:
        child = self._world.children.get(generation.epoch)
        if child is not None:
            send_group(child.identity, signal.SIGTERM)
            # A stopped process acts on SIGTERM only when it is continued.
            send_group(child.identity, signal.SIGCONT)

    async def _stop(self, generation: Generation, drain_seconds: float) -> None:
        child = self._world.children.get(generation.epoch)
        if child is not None:
            body = {"drain_seconds": drain_seconds}
            await call(child.socket, "POST", "/control/stop", body, self._world.term)

    async def _kill(self, generation: Generation) -> None:
        tree = await asyncio.to_thread(self._tree, generation)
        if tree is not None:
            left = await asyncio.to_thread(tree.kill)
            if left:
                _LOG.warning("%d processes of %s survive SIGKILL", left, generation.epoch[:8])

    async def _check_gone(self, generation: Generation) -> None:
        tree = await asyncio.to_thread(self._tree, generation)
        if tree is None or await asyncio.to_thread(tree.is_gone):
            self._world.post(TreeGone(clock.now(), generation.epoch))

    async def _check_memory(self, generation: Generation) -> None:
        child = self._world.children.get(generation.epoch)
        pids = frozenset[int]() if child is None else child.tree.pids()
        reading = await read_memory(pids, _MEMORY_SECONDS)
        self._world.post(MemoryRead(clock.now(), generation.epoch, reading.outcome, reading.detail))

    async def _warm_up(self, generation: Generation) -> None:
        child = self._world.children.get(generation.epoch)
        if child is None:
            return
        ok, detail = await self._checked_answer(child)
        self._world.post(WarmUpDone(clock.now(), generation.epoch, ok, detail))

    async def _checked_answer(self, child: Child) -> tuple[bool, str]:
        deadline = self._world.configuration.lifecycle.warm_seconds
        if child.slot == GATEWAY:
            state = await read_gateway(child.socket, child.epoch, self._world.term, deadline)
            return state.status == "ready", f"its control state: {state.outcome} {state.status}"
        reading = await warm_up(child.socket, child.epoch, self._world.term, deadline)
        if reading.problem:
            return False, reading.problem
        expected = self._world.journal.answer(reading.fingerprint)
        if expected is None:
            if reading.fingerprint:
                self._world.journal.record_answer(reading.fingerprint, reading.text)
            return True, f"{reading.tokens} tokens, first answer of this model"
        if expected != reading.text:
            return False, f"answered {reading.text!r:.80} where {expected!r:.80} was right before"
        return True, f"{reading.tokens} tokens, as before"

    async def _forget(self, generation: Generation) -> None:
        child = self._world.children.get(generation.epoch)
        memory = self._world.journal.child(generation.epoch)
        self._world.children.forget(generation.epoch)
        if memory is not None:
            await asyncio.to_thread(remove_files, Path(memory.socket))
        if child is not None and child.tree.group is not None:
            cgroup.remove(child.tree.group)
        self._world.journal.forget(generation.epoch)

    def _tree(self, generation: Generation) -> Tree | None:
        """The processes of a generation; None when it never had any. Reads /proc."""
        child = self._world.children.get(generation.epoch)
        if child is not None:
            return child.tree
        if generation.identity is not None:
            return Tree(generation.identity, generation.epoch)
        for leftover in find_leftovers(self._world.layout.directories.runtime):
            if leftover.epoch == generation.epoch:
                return Tree(leftover.root, leftover.epoch)
        return None


async def _guarded(work: Callable[[], Awaitable[None]], epoch: str) -> None:
    try:
        await work()
    except Exception:  # noqa: BLE001 - for the reason below
        # An effect that fails must not take the supervisor down; the phase's deadline will notice.
        _LOG.exception("an effect on %s failed", epoch[:8])
