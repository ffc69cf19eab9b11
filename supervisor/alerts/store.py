"""Deliveries still to be made, in SQLite; used from one thread only.

A delivery is claimed by one statement that counts the attempt and moves the next one into the
future *before* anything is sent: a receiver that kills us cannot make us try for ever, and a crash
between sending and acknowledging costs at most one repetition. When the file cannot be written
(full disk) new deliveries go to memory: the alert about the full disk must still get out.
"""

import logging
import os
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_LOG = logging.getLogger(__name__)

_SCHEMA = """
CREATE TABLE IF NOT EXISTS deliveries (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    receiver TEXT NOT NULL,
    message TEXT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    next_at REAL NOT NULL
) STRICT
"""
_CLAIM = """
UPDATE deliveries SET attempts = attempts + 1, next_at = ? + min(?, ? * (1 << min(attempts, 20)))
WHERE number = (
    SELECT number FROM deliveries WHERE receiver = ? AND (next_at <= ? OR next_at > ?)
    ORDER BY next_at, number LIMIT 1
)
RETURNING number, message, attempts
"""
_MAX_DELAY_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class Delivery:
    """One claimed delivery; `attempts` counts this one too."""

    database: int
    number: int
    message: str
    attempts: int


class Store:
    """The table of deliveries, on disk and, when the disk fails, in memory."""

    def __init__(self, path: Path, *, limit: int, first_delay_seconds: float) -> None:
        self._limit = limit
        self._first_delay_seconds = first_delay_seconds
        memory = sqlite3.connect(":memory:", isolation_level=None)
        memory.execute(_SCHEMA)
        try:
            self._databases = [_open_file(path), memory]
        except (OSError, sqlite3.Error) as error:
            _LOG.error("alerts are kept in memory only: %s cannot be used: %s", path, error)
            self._databases = [memory]

    def add(self, receivers: Iterable[str], message: str, now: float) -> None:
        """Note one delivery per receiver, due at once; beyond the limit the oldest are dropped."""
        rows = [(receiver, message, now) for receiver in receivers]
        for database in self._databases:
            try:
                self._insert(database, rows)
                return
            except sqlite3.Error as error:
                _LOG.error("an alert could not be stored: %s", error)

    def claim(self, receiver: str, now: float) -> Delivery | None:
        """Take the next due delivery of a receiver and put off its next attempt."""
        for index, database in enumerate(self._databases):
            # A next attempt beyond the longest delay means the clock was set back: due.
            values = (now, _MAX_DELAY_SECONDS, self._first_delay_seconds, receiver)
            rows = database.execute(_CLAIM, (*values, now, now + _MAX_DELAY_SECONDS + 1)).fetchall()
            if rows:
                number, message, attempts = rows[0]
                return Delivery(index, int(number), str(message), int(attempts))
        return None

    def wait_seconds(self, receiver: str, now: float) -> float | None:
        """Seconds until the next delivery of a receiver is due; None when there is none."""
        query = "SELECT min(next_at) FROM deliveries WHERE receiver = ?"
        times = [row[0] for db in self._databases for row in db.execute(query, (receiver,))]
        due = [float(at) for at in times if at is not None]
        return max(0.0, min(due) - now) if due else None

    def remove(self, delivery: Delivery) -> None:
        """Forget a delivery: acknowledged, or given up."""
        self._databases[delivery.database].execute(
            "DELETE FROM deliveries WHERE number = ?", (delivery.number,)
        )

    def keep_only(self, receivers: Iterable[str]) -> None:
        """Drop deliveries to receivers that are no longer configured."""
        known = list(receivers)
        marks = ",".join("?" * len(known))
        self._databases[0].execute(f"DELETE FROM deliveries WHERE receiver NOT IN ({marks})", known)

    def untried(self) -> int:
        """Deliveries that were never attempted."""
        query = "SELECT count(*) FROM deliveries WHERE attempts = 0"
        return sum(int(db.execute(query).fetchone()[0]) for db in self._databases)

    def close(self) -> None:
        """Close the file; the store is unusable afterwards."""
        for database in self._databases:
            database.close()

    def _insert(self, database: sqlite3.Connection, rows: list[tuple[str, str, float]]) -> None:
        database.execute("BEGIN IMMEDIATE")
        try:
            database.executemany(
                "INSERT INTO deliveries (receiver, message, next_at) VALUES (?, ?, ?)", rows
            )
            dropped = database.execute(
                "DELETE FROM deliveries WHERE number NOT IN "
                "(SELECT number FROM deliveries ORDER BY number DESC LIMIT ?)",
                (self._limit,),
            ).rowcount
            database.execute("COMMIT")
        except sqlite3.Error:
            if database.in_transaction:
                database.execute("ROLLBACK")
            raise
        if dropped:
            _LOG.error("the alert queue is full: the %d oldest deliveries were dropped", dropped)


def _open_file(path: Path) -> sqlite3.Connection:
    os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
    database = sqlite3.connect(path, isolation_level=None, timeout=5)
    try:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute(_SCHEMA)
    except sqlite3.Error:
        database.close()
        raise
    return database
