"""The journal's database: its tables, and how it is opened whatever state it is in."""

import os
import sqlite3
import time
from dataclasses import dataclass
from pathlib import Path

VERSION = 2
_WAIT_SECONDS = 5.0

_TABLES = """
CREATE TABLE IF NOT EXISTS events (
    id INTEGER PRIMARY KEY, at TEXT NOT NULL, kind TEXT NOT NULL, worker TEXT, epoch TEXT,
    cause TEXT, reason TEXT NOT NULL, evidence TEXT NOT NULL, phases TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS slots (name TEXT PRIMARY KEY, memory TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS children (
    epoch TEXT PRIMARY KEY, slot TEXT NOT NULL, number INTEGER NOT NULL, phase TEXT NOT NULL,
    socket TEXT NOT NULL, spawned_at TEXT NOT NULL, boot_id TEXT, pid INTEGER, start_ticks INTEGER,
    ready_at REAL, ending TEXT
);
CREATE TABLE IF NOT EXISTS terms (term INTEGER PRIMARY KEY, at TEXT NOT NULL, pid INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS answers (
    fingerprint TEXT PRIMARY KEY, text TEXT NOT NULL, at TEXT NOT NULL
);
"""


@dataclass(frozen=True, slots=True)
class Opened:
    """A usable database, and where an unreadable one was moved to."""

    connection: sqlite3.Connection
    moved_aside: Path | None = None
    problem: str = ""


def open_database(path: Path, *, move_aside: bool = False) -> Opened:
    """Open or create whatever it takes, because serving matters more than history. Never raises.

    A damaged file is moved aside (`move_aside` says it is known to be damaged). Where no file can
    be made, on a full disk say, the database is in memory and `problem` says why.
    """
    moved_aside = None
    try:
        if not move_aside:
            try:
                return Opened(_open(path))
            except sqlite3.DatabaseError as error:
                if not is_damage(error):
                    raise
        moved_aside = _move_aside(path)
        return Opened(_open(path), moved_aside, f"it was damaged and is now {moved_aside.name}")
    except (sqlite3.Error, OSError) as error:
        return Opened(_connect(":memory:"), moved_aside, f"it cannot be opened: {error}")


def is_damage(error: sqlite3.Error) -> bool:
    """Whether the file itself is bad, as opposed to a full or locked disk."""
    return getattr(error, "sqlite_errorname", "").startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB"))


def _open(path: Path) -> sqlite3.Connection:
    os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
    return _connect(path)


def _connect(path: Path | str) -> sqlite3.Connection:
    connection = sqlite3.connect(
        path, timeout=_WAIT_SECONDS, isolation_level=None, check_same_thread=False
    )
    try:
        _prepare(connection)
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _prepare(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=NORMAL")
    found = int(connection.execute("PRAGMA user_version").fetchone()[0])
    if found > VERSION:
        raise sqlite3.NotSupportedError(f"written by a newer version (schema {found})")
    verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
    if verdict != "ok":
        raise damage(verdict)
    connection.executescript(_TABLES)
    columns = {row[1] for row in connection.execute("PRAGMA table_info(children)")}
    if "ending" not in columns:  # schema 1 had none
        connection.execute("ALTER TABLE children ADD COLUMN ending TEXT")
    connection.execute(f"PRAGMA user_version={VERSION}")


def damage(text: str) -> sqlite3.DatabaseError:
    """The error sqlite itself raises for a damaged file."""
    error = sqlite3.DatabaseError(text)
    error.sqlite_errorname = "SQLITE_CORRUPT"
    return error


def _move_aside(path: Path) -> Path:
    target = path.with_name(f"{path.name}.damaged-{time.time_ns()}")
    for suffix in ("", "-wal", "-shm"):
        source = path.with_name(path.name + suffix)
        if source.exists():
            os.replace(source, target.with_name(target.name + suffix))
    return target
