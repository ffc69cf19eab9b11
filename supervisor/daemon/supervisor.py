"""All parts in one event loop, from adoption to the last line of the journal."""

import asyncio
import logging
import os
from collections.abc import Callable
from socket import socket

from supervisor import __version__
from supervisor.alerts.model import Alert
from supervisor.alerts.outbox import Outbox
from supervisor.child import cgroup
from supervisor.child.children import Child, Children
from supervisor.child.logs import tail
from supervisor.console.app import build_console
from supervisor.console.auth import Sessions
from supervisor.console.control import build_control
from supervisor.core import effects as fx
from supervisor.core.events import Booted, Exited
from supervisor.core.machine import initial
from supervisor.core.model import ExitReport, Kind, Phase, Route, State
from supervisor.daemon.leaving import Leaving, pace_of
from supervisor.daemon.port import Port
from supervisor.daemon.prelude import Ground
from supervisor.daemon.servers import EmbeddedServer, make_server
from supervisor.runtime import adoption, clock
from supervisor.runtime.actuator import Actuator
from supervisor.runtime.gateway_link import GatewayLink, Peer
from supervisor.runtime.layout import GATEWAY
from supervisor.runtime.listener import url_of
from supervisor.runtime.notify import Notifier
from supervisor.runtime.prober import Prober
from supervisor.runtime.programs import Programs
from supervisor.runtime.reactor import Hands, Mailbox, Reactor
from supervisor.runtime.status import Facts, build_status, summary
from supervisor.runtime.world import World

_LOG = logging.getLogger(__name__)
_FLUSH_SECONDS = 5.0
_LAST_LINES = 10
_TALKABLE = (Phase.LOADING, Phase.WARMING, Phase.READY, Phase.DRAINING, Phase.STOPPING)


class Supervisor:
    """Wires the parts; decides nothing."""

    def __init__(
        self,
        ground: Ground,
        outbox: Outbox,
        programs: Programs,
        announce: Callable[[str, str, str], None],
    ) -> None:
        self._ground = ground
        self._outbox = outbox
        self._announce = announce
        self._started_at = clock.now()
        self._ticked = False
        self._status_line = ""
        self._notifier = Notifier(os.environ.pop("NOTIFY_SOCKET", None))
        self._mailbox = Mailbox()
        configuration = ground.configuration
        self._world = World(
            configuration=configuration,
            layout=ground.layout,
            programs=programs,
            journal=ground.journal,
            children=Children(self._on_exit),
            listening=ground.public,
            term=ground.term,
            post=self._mailbox.post,
            delegation=cgroup.detect(),
        )
        self._link = GatewayLink(ground.term)
        self._actuator = Actuator(self._world)
        slots = [
            (name, Kind.GATEWAY if name == GATEWAY else Kind.WORKER) for name in ground.layout.slots
        ]
        self._reactor = Reactor(
            initial(slots),
            pace_of(configuration),
            ground.journal,
            self._mailbox,
            Hands(self._actuator.intend, self._perform, self._after_tick),
        )
        self._prober = Prober(self._world, self._link, lambda: self._reactor.state)
        self._port = Port(self._mailbox, ground.journal, ground.layout.workers, self._status)
        self._sessions = Sessions(
            link_seconds=configuration.console.login_link_seconds,
            session_seconds=configuration.console.session_seconds,
        )

    async def run(self) -> bool:
        """Supervise until everything is stopped (False) or a successor is to take over (True)."""
        leaving = Leaving(self._port, self._world, self._reactor, self._notifier, self._ground)
        leaving.install()
        adoption.adopt(self._world, self._ground.found)
        for event in adoption.news(self._world, self._ground.found):
            self._mailbox.post(event)
        self._mailbox.post(Booted(clock.now(), self._ground.term))
        try:
            return await self._run(leaving)
        finally:
            leaving.remove()
            self._world.children.release()
            await asyncio.to_thread(self._ground.journal.close)

    async def _run(self, leaving: Leaving) -> bool:
        servers = self._servers()
        async with asyncio.TaskGroup() as group:
            for server, listening in servers:
                group.create_task(server.serve(sockets=[listening]))
            background = [
                group.create_task(work)
                for work in (self._link.run(), self._prober.run(), self._outbox.run())
            ]
            deciding = group.create_task(self._reactor.run())
            called_away = group.create_task(leaving.handed_over.wait())
            await asyncio.wait((deciding, called_away), return_when=asyncio.FIRST_COMPLETED)
            handed_over = not deciding.done()
            self._notifier.send("STOPPING=1")
            deciding.cancel()
            called_away.cancel()
            await self._actuator.close()
            if not handed_over:
                await self._outbox.flush(_FLUSH_SECONDS)
            for task in background:
                task.cancel()
            # The control socket goes last: who waits for our end waits for its silence.
            for server, _ in servers:
                server.should_exit = True
        return handed_over

    def _servers(self) -> list[tuple[EmbeddedServer, socket]]:
        console_url = url_of(self._ground.console)
        host = self._world.configuration.console.host
        port = self._ground.console.getsockname()[1]
        console = build_console(self._port, self._sessions, host=host, port=port)
        control = build_control(self._port, self._sessions, console_url=console_url)
        return [
            (make_server(console), self._ground.console),
            (make_server(control), self._ground.control),
        ]

    def _on_exit(self, child: Child, report: ExitReport) -> None:
        if report.code != 0:
            lines = "\n".join(tail(child.log, _LAST_LINES))
            _LOG.warning("%s g%d died; the end of its log:\n%s", child.slot, child.number, lines)
        self._mailbox.post(Exited(clock.now(), child.epoch, report))

    def _perform(self, effect: fx.Effect) -> None:
        match effect:
            case fx.SetRoutes(routes):
                self._link.set_table([self._line(route) for route in routes])
            case fx.MoveRequests(epoch):
                self._link.move(epoch)
            case fx.ReportDeath(epoch, counted, cause):
                self._link.death(epoch, counted=counted, cause=cause.value)
            case fx.ExpectReady(seconds):
                self._link.expect(seconds)
            case fx.Alert():
                self._tell_people(effect)
            case fx.Reply():
                self._port.reply(effect)
            case fx.Quit() | fx.Record() | fx.Remember():
                pass  # the reactor's own
            case _:
                self._actuator.perform(effect)

    def _line(self, route: Route) -> dict[str, object]:
        return {
            "name": route.name,
            "epoch": route.epoch,
            "generation": route.number,
            "socket": str(self._world.layout.socket(route.name, route.epoch)),
            "route": "open" if route.open else "closed",
        }

    def _tell_people(self, effect: fx.Alert) -> None:
        is_news = effect.resolved or effect.severity is fx.Severity.INFO
        _LOG.log(logging.INFO if is_news else logging.WARNING, "%s", effect.title)
        self._outbox.post(
            Alert(
                key=effect.key,
                severity=effect.severity.value,
                status="resolved" if effect.resolved else "firing",
                title=effect.title,
                worker=effect.slot or None,
                epoch=effect.epoch or None,
                evidence=dict(effect.evidence),
            )
        )

    def _after_tick(self, state: State) -> None:
        generation = state.slot(GATEWAY).generation
        peer = None
        if generation is not None and generation.phase in _TALKABLE:
            peer = Peer(generation.epoch, self._world.layout.socket(GATEWAY, generation.epoch))
        self._link.follow(peer)
        if not self._ticked:
            self._ticked = True
            self._notifier.store(self._ground.public)
            self._notifier.send("READY=1", f"STATUS={summary(state)}")
            link = self._sessions.login_link(url_of(self._ground.console))
            self._announce(url_of(self._ground.public), url_of(self._ground.console), link)
        line = summary(state)
        if line != self._status_line:
            self._status_line = line
            self._notifier.send(f"STATUS={line}")
        self._notifier.send("WATCHDOG=1")

    def _status(self) -> dict[str, object]:
        facts = Facts(
            now=clock.now(),
            pid=os.getpid(),
            version=__version__,
            started_at=self._started_at,
            gateway_url=url_of(self._ground.public),
            console_url=url_of(self._ground.console),
            gateway=self._prober.gateway,
            processes=self._prober.processes,
            last_restarts=self._ground.journal.newest("restart"),
        )
        return build_status(self._reactor.state, self._world.layout, facts)
