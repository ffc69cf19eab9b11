"""The journal: what happened, what each slot remembers, which children exist.

Reads are answered from memory and writes go to one thread, so nothing here waits for the disk; who
must know that something is durable awaits the future.
"""

import logging
import os
import sqlite3
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import replace
from itertools import count
from pathlib import Path

from supervisor.core.effects import Record, Remember
from supervisor.core.model import Identity, Phase, Slot
from supervisor.store.codec import (
    ChildMemory,
    SlotMemory,
    clock_now,
    decode_ending,
    decode_slot,
    encode_ending,
    encode_slot,
    updated,
)
from supervisor.store.events import COLUMNS, Event, event_from, event_of, row_of, wall_now
from supervisor.store.schema import open_database
from supervisor.store.writer import Statement, Work, Writer

_LOG = logging.getLogger(__name__)
RETENTION = 5000
_ANSWERS = 100
_TERMS = 1000
_TRIM_EVERY = 200
_CLOSE_SECONDS = 5.0
_CHILD_COLUMNS = (
    "epoch, slot, number, phase, socket, spawned_at, boot_id, pid, start_ticks, ready_at, ending"
)


class Journal:
    """One supervisor's journal. Methods are called from one thread."""

    def __init__(
        self, path: Path, boot_id: str, on_trouble: Callable[[str], None] = _LOG.error
    ) -> None:
        """Open, or begin a new one, in memory if need be; `problem` says what was wrong."""
        opened = open_database(path)
        self.problem = opened.problem
        self._boot_id = boot_id
        self._load(opened.connection)
        self._writer = Writer(path, opened.connection, self._statements, on_trouble)

    def _load(self, connection: sqlite3.Connection) -> None:
        newest = connection.execute(
            f"SELECT {COLUMNS} FROM events ORDER BY id DESC LIMIT ?", (RETENTION,)
        ).fetchall()
        self._events = deque((event_from(row) for row in reversed(newest)), maxlen=RETENTION)
        self._ids = count(1 + (newest[0][0] if newest else 0))
        self._slots = {
            str(name): str(memory)
            for name, memory in connection.execute("SELECT name, memory FROM slots")
        }
        rows = connection.execute(f"SELECT {_CHILD_COLUMNS} FROM children").fetchall()
        self._children = {child.epoch: child for child in map(_child_from, rows)}
        self._answers: dict[str, str] = dict(
            connection.execute("SELECT fingerprint, text FROM answers ORDER BY rowid").fetchall()
        )
        found = connection.execute("SELECT max(term) FROM terms").fetchone()[0]
        self._term = int(found or 0)
        self.is_new = self._term == 0

    # -- history ------------------------------------------------------------------------------

    def append(self, record: Record) -> "Future[bool]":
        """Write one event, durably: it may be the reason of what is done next."""
        return self.write([record])

    def write(self, effects: "Sequence[Record | Remember]") -> "Future[bool]":
        """Write events and memories in one transaction: all of them survive a crash, or none.

        A restart told as finished but remembered as under way would be told, and done, again.
        """
        statements: list[Statement] = []
        for effect in effects:
            if isinstance(effect, Record):
                statements += self._event_statements(effect)
            else:
                statements += self._memory_statements(effect.slot)
        return self._writer.submit(Work(statements, durable=True))

    def _event_statements(self, record: Record) -> list[Statement]:
        event = event_of(record, next(self._ids))
        self._events.append(event)
        marks = ", ".join("?" * 9)
        statements: list[Statement] = [
            (f"INSERT OR REPLACE INTO events ({COLUMNS}) VALUES ({marks})", row_of(event))
        ]
        number = event["id"]
        if isinstance(number, int) and number % _TRIM_EVERY == 0:
            statements.append(("DELETE FROM events WHERE id <= ?", (number - RETENTION,)))
        return statements

    def events(self, *, limit: int, after: int) -> list[Event]:
        """Oldest first: the newest `limit` when `after` is 0, else the next ones after that id."""
        return select_events(self._events, limit=limit, after=after)

    def newest(self, kind: str) -> dict[str, Event]:
        """The newest event of a kind, by worker."""
        return {str(event["worker"]): event for event in self._events if event["kind"] == kind}

    # -- slots and children -------------------------------------------------------------------

    def remember(self, slot: Slot) -> "Future[bool]":
        """Keep a slot's memory and the state of its generation."""
        return self.write([Remember(slot)])

    def _memory_statements(self, slot: Slot) -> list[Statement]:
        self._slots[slot.name] = encode_slot(slot, clock_now(self._boot_id))
        statements: list[Statement] = [self._slot_statement(slot.name)]
        generation = slot.generation
        known = None if generation is None else self._children.get(generation.epoch)
        if generation is not None and known is not None:
            self._children[known.epoch] = updated(known, generation)
            statements.append(_child_statement(self._children[known.epoch]))
        return statements

    def intend(self, slot: str, epoch: str, number: int, socket: Path) -> "Future[bool]":
        """Write down that a process is about to exist."""
        child = ChildMemory(slot, epoch, number, Phase.SPAWNED, str(socket), wall_now())
        return self.keep(child)

    def identify(self, epoch: str, identity: Identity) -> "Future[bool]":
        """Write down which process it became; KeyError without an intent."""
        return self.keep(replace(self._children[epoch], identity=identity))

    def keep(self, child: ChildMemory) -> "Future[bool]":
        """Write down all that is known of one child."""
        self._children[child.epoch] = child
        return self._writer.submit(Work([_child_statement(child)], durable=True))

    def forget(self, epoch: str) -> "Future[bool]":
        """The generation is over and its files are removed."""
        self._children.pop(epoch, None)
        return self._writer.submit(Work([("DELETE FROM children WHERE epoch = ?", (epoch,))]))

    def slots(self) -> tuple[SlotMemory, ...]:
        """What each slot remembers; damaged memories are left out and logged."""
        found: list[SlotMemory] = []
        for name, text in self._slots.items():
            try:
                found.append(decode_slot(name, text, clock_now(self._boot_id)))
            except (ValueError, KeyError, TypeError) as error:
                _LOG.error("the journal's memory of %s is unreadable: %r", name, error)
        return tuple(found)

    def child(self, epoch: str) -> ChildMemory | None:
        """What is known of one generation, until it is forgotten."""
        return self._children.get(epoch)

    def children(self) -> tuple[ChildMemory, ...]:
        """Generations that were never forgotten, older ones first."""
        return tuple(sorted(self._children.values(), key=lambda child: child.number))

    # -- terms and answers --------------------------------------------------------------------

    def next_term(self, floor: int = 0) -> "tuple[int, Future[bool]]":
        """A term above every earlier one and above `floor`, durable when the future says so."""
        self._term = max(self._term, floor) + 1
        statements: list[Statement] = [
            ("INSERT INTO terms VALUES (?, ?, ?)", (self._term, wall_now(), os.getpid())),
            ("DELETE FROM terms WHERE term <= ?", (self._term - _TERMS,)),
        ]
        return self._term, self._writer.submit(Work(statements, durable=True))

    def answer(self, fingerprint: str) -> str | None:
        """The warm-up answer this model gave first."""
        return self._answers.get(fingerprint)

    def record_answer(self, fingerprint: str, text: str) -> "Future[bool]":
        """Keep the first warm-up answer of a model; the hundred newest models are kept."""
        self._answers[fingerprint] = text
        while len(self._answers) > _ANSWERS:
            del self._answers[next(iter(self._answers))]
        statements: list[Statement] = [
            ("INSERT OR REPLACE INTO answers VALUES (?, ?, ?)", (fingerprint, text, wall_now())),
            (
                "DELETE FROM answers WHERE fingerprint NOT IN "
                "(SELECT fingerprint FROM answers ORDER BY rowid DESC LIMIT ?)",
                (_ANSWERS,),
            ),
        ]
        return self._writer.submit(Work(statements))

    def close(self) -> None:
        """Write what is waiting and close the file."""
        self._writer.close(_CLOSE_SECONDS)

    def _slot_statement(self, name: str) -> Statement:
        return ("INSERT OR REPLACE INTO slots VALUES (?, ?)", (name, self._slots[name]))

    def _statements(self) -> Sequence[Statement]:
        """Everything a fresh database needs to stand in for a lost one; called by the writer."""
        return [
            *(self._slot_statement(name) for name in list(self._slots)),
            *(_child_statement(child) for child in list(self._children.values())),
            ("INSERT OR IGNORE INTO terms VALUES (?, ?, ?)", (self._term, wall_now(), os.getpid())),
        ]


def select_events(events: Sequence[Event] | deque[Event], *, limit: int, after: int) -> list[Event]:
    """Oldest first: the newest `limit` when `after` is 0, else the first ones with a higher id."""
    if after <= 0:
        return list(events)[-limit:] if limit > 0 else []
    newer = [event for event in events if isinstance(event["id"], int) and event["id"] > after]
    return newer[: max(0, limit)]


def read_events(path: Path, *, limit: int, after: int) -> list[Event]:
    """Read a journal without a supervisor and without changing it; empty when there is none.

    Raises sqlite3.Error when it cannot be read.
    """
    if not path.exists():
        return []
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=2.0)
    try:
        rows = connection.execute(
            f"SELECT {COLUMNS} FROM events ORDER BY id DESC LIMIT ?", (RETENTION,)
        ).fetchall()
    finally:
        connection.close()
    return select_events([event_from(row) for row in reversed(rows)], limit=limit, after=after)


def _child_statement(child: ChildMemory) -> Statement:
    identity = child.identity
    named = (None, None, None)
    values = named if identity is None else (identity.boot_id, identity.pid, identity.start_ticks)
    marks = ", ".join("?" * 11)
    return (
        f"INSERT OR REPLACE INTO children ({_CHILD_COLUMNS}) VALUES ({marks})",
        (
            child.epoch,
            child.slot,
            child.number,
            str(child.phase),
            child.socket,
            child.spawned_at,
            *values,
            child.ready_at,
            encode_ending(child),
        ),
    )


def _child_from(
    row: tuple[
        str, str, int, str, str, str, str | None, int | None, int | None, float | None, str | None
    ],
) -> ChildMemory:
    epoch, slot, number, phase, socket, spawned_at, boot_id, pid, start_ticks, ready_at, end = row
    identity = None
    if boot_id is not None and pid is not None and start_ticks is not None:
        identity = Identity(boot_id, pid, start_ticks)
    end_cause, how = decode_ending(end)
    return ChildMemory(
        slot, epoch, number, Phase(phase), socket, spawned_at, identity, ready_at, end_cause, how
    )
