"""The outbox: alerts are stored first, then delivered to every receiver at its own pace.

`post` only hands over to the storage thread; each receiver has its own task. So neither a slow disk
nor a receiver that hangs holds up the supervisor or another receiver.
"""

import asyncio
import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from supervisor.alerts.model import Alert, to_message
from supervisor.alerts.sinks import DeliveryError, ExecSink, Sink, WebhookSink
from supervisor.alerts.store import Delivery, Store
from supervisor.config.model import Alerts

_LOG = logging.getLogger(__name__)
_T = TypeVar("_T")

_FIRST_DELAY_SECONDS = 5.0
_LONGEST_SLEEP_SECONDS = 60.0
_STORE_FAILED_SLEEP_SECONDS = 5.0


class Outbox:
    """Keeps alerts until their receivers took them; `run` delivers, `post` adds."""

    def __init__(
        self, path: Path, settings: Alerts, *, first_delay_seconds: float = _FIRST_DELAY_SECONDS
    ) -> None:
        self._attempts = settings.attempts
        self._limit = settings.queue
        self._sinks: Sequence[Sink] = (
            *(WebhookSink(webhook) for webhook in settings.webhooks),
            *(ExecSink(hook) for hook in settings.exec),
        )
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="alerts")
        self._waiting = threading.Semaphore(settings.queue)
        self._news: dict[str, asyncio.Event] = {}
        self._settled = asyncio.Event()
        self._sending = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._store = self._thread.submit(
            Store, path, limit=settings.queue, first_delay_seconds=first_delay_seconds
        )

    def post(self, alert: Alert) -> None:
        """Accept an alert for all receivers; returns at once, from any thread."""
        if not self._sinks:
            return
        if not self._waiting.acquire(blocking=False):
            _LOG.error("an alert was dropped, its storage does not keep up: %s", alert.title)
            return
        message = to_message(alert)
        receivers = [sink.key for sink in self._sinks]
        self._thread.submit(self._add, receivers, message)

    async def run(self) -> None:
        """Deliver until cancelled."""
        self._loop = asyncio.get_running_loop()
        self._news = {sink.key: asyncio.Event() for sink in self._sinks}
        await self._stored(lambda store: store.keep_only(self._news))
        async with asyncio.TaskGroup() as tasks:
            for sink in self._sinks:
                tasks.create_task(self._serve(sink))

    async def flush(self, timeout_seconds: float) -> bool:
        """Wait until every alert was tried once, while `run` is running; whether that was in time.

        What failed waits in the store; there is no point in holding up an exit for it.
        """
        try:
            async with asyncio.timeout(timeout_seconds):
                while await self._stored(lambda store: store.untried()) or self._sending:
                    self._settled.clear()
                    await self._settled.wait()
        except TimeoutError:
            return False
        return True

    def close(self) -> None:
        """Close the store; what is undelivered waits there for the next start."""
        self._thread.submit(lambda: self._store.result().close())
        self._thread.shutdown(wait=True)

    def _add(self, receivers: list[str], message: str) -> None:
        try:
            self._store.result().add(receivers, message, time.time())
        finally:
            self._waiting.release()
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._tell_news)

    def _tell_news(self) -> None:
        for event in self._news.values():
            event.set()

    async def _stored(self, call: Callable[[Store], _T]) -> _T:
        """Run a call on the store in its thread."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, lambda: call(self._store.result()))

    async def _serve(self, sink: Sink) -> None:
        news = self._news[sink.key]
        while True:
            news.clear()
            try:
                delivery = await self._stored(lambda store: store.claim(sink.key, time.time()))
                if delivery is not None:
                    await self._deliver(sink, delivery)
                    continue
                wait = await self._stored(lambda store: store.wait_seconds(sink.key, time.time()))
            except sqlite3.Error as error:
                _LOG.error("the alert outbox cannot be used now: %s", error)
                wait = _STORE_FAILED_SLEEP_SECONDS
            pause = _LONGEST_SLEEP_SECONDS if wait is None else min(wait, _LONGEST_SLEEP_SECONDS)
            try:
                async with asyncio.timeout(pause):
                    await news.wait()
            except TimeoutError:
                continue

    async def _deliver(self, sink: Sink, delivery: Delivery) -> None:
        self._sending += 1
        try:
            taken = await self._send(sink, delivery)
            if not taken and delivery.attempts >= self._attempts:
                _LOG.error("alert given up for %s: %s", sink.name, delivery.message)
                taken = True
            if taken:
                await self._stored(lambda store: store.remove(delivery))
        finally:
            self._sending -= 1
            self._settled.set()

    async def _send(self, sink: Sink, delivery: Delivery) -> bool:
        try:
            await sink.send(delivery.message)
        except Exception as error:  # noqa: BLE001 - one broken receiver must not silence the others
            reason = str(error) if isinstance(error, DeliveryError) else repr(error)
            of = f"attempt {delivery.attempts} of {self._attempts}"
            _LOG.warning("alert not delivered to %s (%s): %s", sink.name, of, reason)
            return False
        return True
