"""Verbs that look: status, events, logs."""

import json
import time
from argparse import Namespace
from collections import deque
from collections.abc import Iterator, Mapping
from pathlib import Path

from supervisor.cli import place
from supervisor.cli.client import Client
from supervisor.cli.exits import CommandError, Exit
from supervisor.cli.text import Row, cell, duration, event_line, table

_FOLLOW_SECONDS = 0.5
_MAX_LIMIT = 1000
_MAX_TAIL_BYTES = 4 * 1024 * 1024


def status(arguments: Namespace) -> int:
    """Print the state of everything; the exit code says it too."""
    try:
        now = place.client(arguments).status()
    except CommandError as error:
        if arguments.json:
            word = "down" if error.code is Exit.NOT_RUNNING else "unknown"
            print(json.dumps({"state": word, "error": str(error)}, ensure_ascii=False))
        raise
    if arguments.json:
        print(json.dumps(now, ensure_ascii=False))
    else:
        print(_status_text(now))
    return Exit.OK if now.get("state") == "serving" else Exit.DEGRADED


def _status_text(now: Row) -> str:
    gateway = _mapping(now.get("gateway"))
    in_flight = gateway.get("in_flight")
    if isinstance(in_flight, Mapping):
        in_flight = sum(count for count in in_flight.values() if isinstance(count, int))
    head = [
        ("state", cell(now.get("state"))),
        (
            "supervisor",
            f"pid {cell(now.get('pid'))}, term {cell(now.get('term'))}, up "
            f"{duration(now.get('uptime_seconds'))}, version {cell(now.get('version'))}",
        ),
        (
            "gateway",
            f"{cell(gateway.get('url'))}  {cell(gateway.get('state'))}, pid "
            f"{cell(gateway.get('pid'))}, {cell(in_flight)} in flight, "
            f"{cell(gateway.get('held'))} waiting",
        ),
        ("console", cell(_mapping(now.get("console")).get("url"))),
    ]
    rows = [("WORKER", "PHASE", "FOR", "GEN", "EPOCH", "PID", "RESTARTS", "LAST RESTART")]
    workers = now.get("workers")
    for worker in workers if isinstance(workers, list) else []:
        rows.append(
            (
                cell(worker.get("name")),
                _phase(worker),
                duration(worker.get("since_seconds")),
                cell(worker.get("generation")),
                cell(worker.get("epoch"))[:8],
                cell(worker.get("pid")),
                cell(worker.get("restarts")),
                _last(worker.get("last_restart")),
            )
        )
    return f"{table(head)}\n\n{table(rows)}"


def _phase(worker: Row) -> str:
    state, want = cell(worker.get("state")), worker.get("want")
    return state if want in (None, "up") else f"{state} (wanted {cell(want)})"


def _last(value: object) -> str:
    if not isinstance(value, Mapping):
        return cell(value)
    return " ".join(cell(value[key]) for key in ("at", "cause", "reason") if value.get(key))


def events(arguments: Namespace) -> int:
    """Print the newest events, from the supervisor or, without one, from its journal."""
    after = 0
    limit = max(1, min(_MAX_LIMIT, arguments.limit))
    client = place.client(arguments)
    while True:
        rows = _events(arguments, client, limit, after)
        for row in rows:
            line = json.dumps(row, ensure_ascii=False) if arguments.json else event_line(row)
            print(line, flush=True)
            after = max(after, int(str(row.get("id", 0))))
        if not arguments.follow:
            return Exit.OK
        limit = _MAX_LIMIT
        time.sleep(_FOLLOW_SECONDS)


def _events(arguments: Namespace, client: Client, limit: int, after: int) -> list[Row]:
    try:
        answer = client.get(f"/api/v1/events?limit={limit}&after={after}")
    except CommandError as error:
        if error.code is Exit.PERMISSION or place.named_socket(arguments):
            raise
        return _from_journal(place.directories(arguments).journal, limit, after)
    if answer.status != 200:
        raise CommandError(Exit.UNKNOWN, f"the supervisor answered {answer.error()}")
    return [json.loads(line) for line in answer.body.splitlines() if line]


def _from_journal(journal: Path, limit: int, after: int) -> list[Row]:
    from supervisor.store.journal import read_events

    if not journal.exists():
        raise CommandError(Exit.NOT_RUNNING, f"no supervisor is running, and no journal: {journal}")
    try:
        return list(read_events(journal, limit=limit, after=after))
    except Exception as error:  # noqa: BLE001 - sqlite's errors; the library stays in the store
        raise CommandError(Exit.FAILED, f"{journal} cannot be read: {error}") from None


def logs(arguments: Namespace) -> int:
    """Print the end of a child's output."""
    directory = place.directories(arguments).logs
    path = _log_file(directory, arguments.name)
    for line in _tail(path, arguments.lines):
        print(line, flush=True)
    if arguments.follow:
        for line in _follow(directory, arguments.name, path):
            print(line, end="", flush=True)
    return Exit.OK


def _log_file(directory: Path, name: str) -> Path:
    """The newest generation's file of a child; `gateway` is a child, too."""
    found = [
        (int(number), path)
        for path in directory.glob(f"{glob_escape(name)}.g*.log")
        if (number := path.name.removeprefix(f"{name}.g").removesuffix(".log")).isdigit()
    ]
    if not found:
        known = sorted({path.name.rpartition(".g")[0] for path in directory.glob("*.g*.log")})
        hint = f"; there are: {', '.join(known)}" if known else ""
        raise CommandError(Exit.FAILED, f"no output of {name!r} in {directory}{hint}")
    return max(found)[1]


def glob_escape(name: str) -> str:
    """A name in which no character has a meaning for glob."""
    return "".join(f"[{character}]" if character in "*?[" else character for character in name)


def _tail(path: Path, lines: int) -> deque[str]:
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - _MAX_TAIL_BYTES))
        text = file.read().decode("utf-8", "replace")
    return deque(text.splitlines(), maxlen=max(0, lines))


def _follow(directory: Path, name: str, path: Path) -> Iterator[str]:
    """What is written from now on, through rotation (the file shrinks) and new generations."""
    position = path.stat().st_size
    while True:
        newest = _log_file(directory, name)
        if newest != path:
            path, position = newest, 0
        size = path.stat().st_size
        position = 0 if size < position else position
        if size > position:
            with path.open("rb") as file:
                file.seek(position)
                chunk = file.read(_MAX_TAIL_BYTES)
            position += len(chunk)
            yield chunk.decode("utf-8", "replace")
        else:
            time.sleep(_FOLLOW_SECONDS)


def _mapping(value: object) -> Row:
    return value if isinstance(value, Mapping) else {}
