"""Signals: the ways to leave, and the reload."""

import asyncio
import logging
import signal
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field

from supervisor.config.decode import load
from supervisor.config.document import ConfigurationError
from supervisor.config.model import Configuration
from supervisor.config.policy import policy_of
from supervisor.core.effects import Record
from supervisor.daemon.port import Port
from supervisor.daemon.prelude import Ground
from supervisor.daemon.signals import hangup_is_ignored, has_terminal, systemd_restarts_us
from supervisor.runtime import clock
from supervisor.runtime.notify import Notifier
from supervisor.runtime.reactor import Pace, Reactor
from supervisor.runtime.world import World

_LOG = logging.getLogger(__name__)
_FIXED = ("paths", "gateway", "console", "alerts")
"""Groups that are used up at the start; a change of them needs a new supervisor."""


@dataclass(slots=True)
class Leaving:
    """What the process does about SIGTERM, SIGINT and SIGHUP."""

    port: Port
    world: World
    reactor: Reactor
    notifier: Notifier
    ground: Ground
    handed_over: asyncio.Event = field(default_factory=asyncio.Event)
    _asked: bool = False
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def install(self) -> None:
        """Take the signals over from the interpreter."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._asked_to_stop, number)
        if hangup_is_ignored():
            return
        if has_terminal():
            loop.add_signal_handler(signal.SIGHUP, self._asked_to_stop, signal.SIGHUP)
        else:
            loop.add_signal_handler(signal.SIGHUP, self._start, self._reload)

    def remove(self) -> None:
        """Give them back."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.remove_signal_handler(number)
        for task in self._tasks:
            task.cancel()

    def _asked_to_stop(self, number: signal.Signals) -> None:
        if self._asked:
            self.port.stop(reason=f"{number.name} again", drain=False)
            return
        self._asked = True
        self._start(self._stop_or_hand_over, number.name)

    def _start(self, work: Callable[..., Coroutine[None, None, None]], *arguments: str) -> None:
        task = asyncio.create_task(work(*arguments))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _stop_or_hand_over(self, why: str) -> None:
        if self.port.handing_over or await systemd_restarts_us():
            _LOG.info("leaving gateway and workers to the next supervisor")
            self.ground.journal.append(Record("handover", reason=why))
            self.handed_over.set()
        else:
            self.port.stop(reason=why, drain=True)

    async def _reload(self) -> None:
        self.notifier.send("RELOADING=1", f"MONOTONIC_USEC={int(clock.now() * 1e6)}")
        try:
            loaded = await asyncio.to_thread(load, self.ground.config_path)
        except ConfigurationError as error:
            _LOG.error("the configuration is not reloaded:\n%s", error)
            self.ground.journal.append(Record("reload refused", reason=str(error)))
        else:
            applied, left = merge(self.world.configuration, loaded)
            self.world.configuration = applied
            self.reactor.pace = pace_of(applied)
            text = f"restart needed for: {', '.join(left)}" if left else "all of it applies"
            _LOG.info("configuration reloaded, %s", text)
            self.ground.journal.append(Record("reload", reason=text))
        self.notifier.send("READY=1")


def pace_of(configuration: Configuration) -> Pace:
    """The core's policy and the period of its ticks."""
    return Pace(policy_of(configuration), configuration.probing.tick_seconds)


def merge(old: Configuration, new: Configuration) -> tuple[Configuration, list[str]]:
    """What of a new configuration can be used at once, and the names of the groups that cannot.

    Workers are started with the new settings from their next generation on, as long as their names
    stay.
    """
    left = [name for name in _FIXED if getattr(old, name) != getattr(new, name)]
    kept: dict[str, object] = {name: getattr(old, name) for name in left}
    if [worker.name for worker in old.workers] != [worker.name for worker in new.workers]:
        left.append("workers")
        kept["workers"] = old.workers
    return new.model_copy(update=kept), left
