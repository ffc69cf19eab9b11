"""Looks at the children at their periods and posts what it saw, with the epoch it looked at.

Every look is a task of its own with a deadline, at most one per target and kind; a look that hangs
delays nothing but itself. What a reading means is decided elsewhere.
"""

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial

from supervisor.child.children import Child
from supervisor.child.logs import rotate
from supervisor.child.procfs import snapshot
from supervisor.core.events import HealthRead, InFlightRead, Outcome, ProgressRead
from supervisor.core.model import Phase, State
from supervisor.probes.health import GatewayReading, read_gateway, read_health
from supervisor.probes.process import ProcessReading, read_process
from supervisor.probes.progress import process_state, read_progress
from supervisor.runtime import clock
from supervisor.runtime.gateway_link import GatewayLink
from supervisor.runtime.layout import GATEWAY
from supervisor.runtime.world import World

_LOG = logging.getLogger(__name__)
_BEAT_SECONDS = 0.1
_EAGER_SECONDS = 0.2
"""Period of looks at what is about to change: a loading worker, a drain."""
_WALK_SECONDS = 5.0
_ROTATE_SECONDS = 10.0
_COSTS_SECONDS = 5.0
_CLOCK_TICKS = os.sysconf("SC_CLK_TCK")
_EAGER_PHASES = (Phase.LOADING, Phase.WARMING, Phase.DRAINING)


@dataclass(slots=True)
class Prober:
    """Schedules looks; keeps only what the status page shows."""

    world: World
    link: GatewayLink
    view: Callable[[], State]
    gateway: GatewayReading = field(default_factory=lambda: GatewayReading(Outcome.UNKNOWN))
    """Latest answer of the gateway."""
    processes: dict[str, ProcessReading] = field(default_factory=dict)
    """Latest costs of each living child, by epoch."""
    _due: dict[tuple[str, str], float] = field(default_factory=dict)
    _running: dict[tuple[str, str], asyncio.Task[None]] = field(default_factory=dict)

    async def run(self) -> None:
        """Look until cancelled."""
        try:
            while True:
                self._look_around()
                await asyncio.sleep(_BEAT_SECONDS)
        finally:
            for task in tuple(self._running.values()):
                task.cancel()

    def _look_around(self) -> None:
        probing = self.world.configuration.probing
        eager = self._eager_epochs()
        living = {child.epoch for child in self.world.children}
        self._due = {key: at for key, at in self._due.items() if key[1] in living or not key[1]}
        for child in self.world.children:
            if child.exit is not None:
                continue
            self._start(
                "progress", child.epoch, probing.tick_seconds, partial(self._progress, child)
            )
            if child.slot == GATEWAY:
                period = _EAGER_SECONDS if eager else probing.tick_seconds
                self._start("gateway", child.epoch, period, partial(self._gateway, child))
                continue
            period = _EAGER_SECONDS if child.epoch in eager else probing.health_seconds
            self._start("health", child.epoch, period, partial(self._health, child))
        self._start("walk", "", _WALK_SECONDS, self._walk)
        self._start("costs", "", _COSTS_SECONDS, self._costs)
        self._start("rotate", "", _ROTATE_SECONDS, self._rotate)

    def _eager_epochs(self) -> set[str]:
        generations = (slot.generation for slot in self.view().slots)
        return {
            generation.epoch
            for generation in generations
            if generation is not None and generation.phase in _EAGER_PHASES
        }

    def _start(
        self, kind: str, epoch: str, period: float, look: Callable[[], Awaitable[None]]
    ) -> None:
        key, now = (kind, epoch), clock.now()
        if key in self._running or self._due.get(key, 0.0) - _BEAT_SECONDS / 2 > now:
            return
        self._due[key] = now + period
        task = asyncio.create_task(_guarded(look, kind), name=f"look {kind} {epoch[:8]}")
        self._running[key] = task
        task.add_done_callback(lambda _: self._running.pop(key, None))

    async def _health(self, child: Child) -> None:
        timeout = self.world.configuration.probing.health_timeout_seconds
        reading = await read_health(child.socket, child.epoch, self.world.term, timeout)
        self.world.post(HealthRead(clock.now(), child.epoch, reading.outcome, reading.status))

    async def _progress(self, child: Child) -> None:
        if child.slot == GATEWAY:
            # It has no engine: whether the process is stopped is all there is to see.
            letter = process_state(child.identity.pid)
            self.world.post(
                ProgressRead(clock.now(), child.epoch, Outcome.OK, process_state=letter)
            )
            return
        reading = read_progress(child.socket, child.epoch, child.identity.pid)
        self.world.post(
            ProgressRead(
                clock.now(),
                child.epoch,
                reading.outcome,
                reading.step,
                reading.phase,
                reading.size,
                reading.age_seconds,
                reading.process_state,
            )
        )

    async def _gateway(self, child: Child) -> None:
        timeout = self.world.configuration.probing.health_timeout_seconds
        synced, at = self.link.synced, clock.now()
        reading = await read_gateway(child.socket, child.epoch, self.world.term, timeout)
        self.gateway = reading
        self.world.post(HealthRead(clock.now(), child.epoch, reading.outcome, reading.status))
        if reading.outcome is not Outcome.OK:
            return
        self.world.post(InFlightRead(at, child.epoch, reading.total))
        # A count taken before the gateway knew the newest routes may miss requests still on their
        # way.
        if synced and self.link.synced:
            for worker in self.world.children:
                if worker.slot != GATEWAY:
                    count = reading.in_flight.get(worker.epoch, 0)
                    self.world.post(InFlightRead(at, worker.epoch, count))

    async def _walk(self) -> None:
        """Keep the trees' memory of their members fresh: one reading of /proc for all of them."""
        trees = [child.tree for child in self.world.children if child.exit is None]

        def walk() -> None:
            table = snapshot()
            for tree in trees:
                tree.walk(table)

        if trees:
            await asyncio.to_thread(walk)

    async def _costs(self) -> None:
        """Look at memory, threads and descriptors of every child."""
        living = [child for child in self.world.children if child.exit is None]
        self.processes = {
            child.epoch: await asyncio.to_thread(
                read_process, child.identity.pid, child.identity.start_ticks, _CLOCK_TICKS
            )
            for child in living
        }

    async def _rotate(self) -> None:
        logs = self.world.configuration.logs
        for child in self.world.children:
            await asyncio.to_thread(rotate, child.log, logs.max_bytes, logs.keep)


async def _guarded(look: Callable[[], Awaitable[None]], kind: str) -> None:
    try:
        await look()
    except Exception:  # noqa: BLE001 - for the reason below
        # A look that breaks says nothing about what it looked at, and must not end the looking.
        _LOG.exception("the look at %s failed", kind)
