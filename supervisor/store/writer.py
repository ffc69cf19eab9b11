"""The one thread that writes the journal.

A disk that is full or hangs must not stop the supervisor: work that cannot be written waits in
memory, the newest of it, and is tried again every few seconds.
"""

import logging
import queue
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path

from supervisor.store.schema import is_damage, open_database

_LOG = logging.getLogger(__name__)
_BACKLOG = 5000
_RETRY_SECONDS = 5.0

Statement = tuple[str, tuple[object, ...]]


@dataclass(frozen=True, slots=True)
class Work:
    """Statements of one transaction."""

    statements: Sequence[Statement]
    durable: bool = False
    """Wait for the disk itself: a decision must outlive a power cut."""
    done: "Future[bool]" = field(default_factory=Future)
    """True: written. False: kept in memory for now."""


class Writer:
    """Owns the connection once started; `on_trouble` is called from its thread."""

    def __init__(
        self,
        path: Path,
        connection: sqlite3.Connection,
        rebuild: Callable[[], Sequence[Statement]],
        on_trouble: Callable[[str], None],
    ) -> None:
        self._path = path
        self._connection = connection
        self._rebuild = rebuild
        self._on_trouble = on_trouble
        self._queue: queue.SimpleQueue[Work | None] = queue.SimpleQueue()
        self._backlog: deque[Work] = deque(maxlen=_BACKLOG)
        self._retry_at: float | None = None
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._thread.start()

    def submit(self, work: Work) -> "Future[bool]":
        """Hand over one transaction, in order, from any thread."""
        self._queue.put(work)
        return work.done

    def close(self, timeout_seconds: float) -> None:
        """Write what is waiting and close; a hanging disk is left alone after the deadline."""
        self._queue.put(None)
        self._thread.join(timeout_seconds)

    def _run(self) -> None:
        while True:
            try:
                work = self._queue.get(timeout=_RETRY_SECONDS if self._backlog else None)
            except queue.Empty:
                self._flush()
                continue
            if work is None:
                break
            self._backlog.append(work)
            self._flush()
            if not work.done.done():
                work.done.set_result(False)
        self._retry_at = None
        self._flush()
        self._connection.close()

    def _flush(self) -> None:
        if self._retry_at is not None and time.monotonic() < self._retry_at:
            return
        while self._backlog:
            if not self._write(self._backlog[0]):
                self._retry_at = time.monotonic() + _RETRY_SECONDS
                return
            written = self._backlog.popleft()
            if not written.done.done():
                written.done.set_result(True)
        if self._retry_at is not None:
            _LOG.warning("the journal is written again")
        self._retry_at = None

    def _write(self, work: Work) -> bool:
        try:
            self._connection.execute(f"PRAGMA synchronous={'FULL' if work.durable else 'NORMAL'}")
            self._connection.execute("BEGIN IMMEDIATE")
            for statement, values in work.statements:
                self._connection.execute(statement, values)
            self._connection.execute("COMMIT")
        except (sqlite3.Error, OSError) as error:
            self._undo()
            if isinstance(error, sqlite3.DatabaseError) and is_damage(error):
                self._replace(str(error))
            elif self._retry_at is None:
                self._on_trouble(f"the journal cannot be written, going on in memory: {error}")
            return False
        return True

    def _undo(self) -> None:
        try:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        except sqlite3.Error as error:
            _LOG.error("the journal's transaction cannot be undone: %s", error)

    def _replace(self, why: str) -> None:
        """The file went bad under us: begin a new one with what is still known."""
        self._on_trouble(f"the journal is damaged ({why}) and was moved aside")
        self._connection.close()
        self._connection = open_database(self._path, move_aside=True).connection
        self._backlog.appendleft(Work(tuple(self._rebuild())))
