"""The state all parts of the gateway share, and the supervisor's commands on it."""

import asyncio
import itertools
import logging
import secrets
from collections.abc import Callable

from supervisor.config.model import Gateway
from supervisor.gateway.admission import Admission, DrainRate
from supervisor.gateway.answer import PlainAnswer, StreamAnswer
from supervisor.gateway.attempt import Attempt
from supervisor.gateway.call import Call
from supervisor.gateway.counters import Counters
from supervisor.gateway.deadlines import Patience, ServiceTime
from supervisor.gateway.dispatcher import Dispatcher
from supervisor.gateway.errors import Problem, RefusedError, problem
from supervisor.gateway.outbox import Outbox
from supervisor.gateway.record import Pace, Record
from supervisor.gateway.routing import RouteTable, Waiter, Worker
from supervisor.gateway.steps import Tries
from supervisor.gateway.verdicts import Verdicts

log = logging.getLogger("gateway")


class Hub:
    """One per process, on one event loop; `clock` is that loop's, in monotonic seconds."""

    def __init__(self, settings: Gateway, clock: Callable[[], float]) -> None:
        self.settings = settings
        self.clock = clock
        self.counters = Counters()
        self.dispatcher = Dispatcher(RouteTable(), clock, self.counters)
        self.admission = Admission(settings.hold_requests, settings.hold_bytes)
        self.drain_rate = DrainRate()
        self.verdicts = Verdicts()
        self.active: set[Record] = set()
        self.idle = asyncio.Event()
        self.idle.set()
        self.running: dict[str, set[Attempt]] = {}
        self.draining = False
        self.stopping: Problem | None = None
        self._order = itertools.count()

    def admit(self, call: Call, kept_bytes: int, arrived_at: float) -> Record:
        """Take the call on; RefusedError if it would have to wait and too many do."""
        self.check_room()
        request_id = f"chatcmpl-{secrets.token_hex(16)}"
        record = Record(
            request_id=request_id,
            order=next(self._order),
            call=call,
            kept_bytes=kept_bytes,
            patience=Patience(arrived_at + self.settings.total_seconds),
            service=ServiceTime(self.settings.service_seconds),
            tries=Tries(self.settings.attempts, self.settings.replay),
            answer=StreamAnswer(request_id, call.include_usage)
            if call.stream
            else PlainAnswer(request_id),
            outbox=Outbox(),
            pace=Pace(arrived_at),
        )
        self.active.add(record)
        self.idle.clear()
        return record

    def discharge(self, record: Record) -> None:
        """The request is over: forget its prompt and everything else."""
        self.active.discard(record)
        if not self.active:
            self.idle.set()
        self.admission.release(record.kept_bytes)

    def check_room(self) -> None:
        """RefusedError if one more request would have to wait and too many do."""
        if self.stopping is not None:
            raise RefusedError(self.stopping)
        table = self.dispatcher.table
        would_wait = table.waiting > 0 or not table.any_usable(self.clock())
        if would_wait and not self.admission.may_wait(table.waiting):
            raise RefusedError(self.overloaded("too many requests wait for a worker"))

    def overloaded(self, detail: str) -> Problem:
        """503 with the time after which there should be room again."""
        seconds = self.drain_rate.retry_after_seconds(
            self.dispatcher.table.waiting, self.clock(), self.dispatcher.ready_in_seconds()
        )
        return problem("overloaded", detail, retry_after_seconds=seconds)

    def newcomer(self) -> Waiter:
        """A place at the end of the row."""
        return Waiter(next(self._order))

    def set_workers(self, workers: list[Worker]) -> None:
        """The supervisor's whole table; what runs on an epoch outside it is cut."""
        for epoch in self.dispatcher.update(workers):
            self.cut(epoch)

    def cut(self, epoch: str) -> int:
        """Cut what runs on this epoch; returns how many."""
        attempts = list(self.running.get(epoch, ()))
        for attempt in attempts:
            attempt.cut()
        if attempts:
            log.info("cut %d requests of epoch %s", len(attempts), epoch)
        return len(attempts)

    def end_all(self, reason: Problem) -> None:
        """The process ends: refuse what comes, fail what runs."""
        self.stopping = reason
        for record in self.active:
            record.outbox.close(reason)
