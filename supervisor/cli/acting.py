"""Verbs that change something: restart, stop, handover, login-link."""

import getpass
import json
import os
import sys
import time
from argparse import Namespace
from urllib.parse import quote

from supervisor.cli import place
from supervisor.cli.client import Client
from supervisor.cli.exits import CommandError, Exit
from supervisor.cli.text import Row, cell, event_line, say

_POLL_SECONDS = 0.2
_SILENCE_SECONDS = 15.0


def restart(arguments: Namespace) -> int:
    """Order a restart; with --wait stay until it is over."""
    reason = _reason(arguments)
    client = place.client(arguments)
    before = _newest_event(client)
    target = f"/api/v1/workers/{quote(arguments.worker, safe='')}/restart"
    answer = client.post(target, {"reason": reason, "actor": _actor()})
    if answer.status != 202:
        if arguments.json:
            print(json.dumps({"accepted": False, "reason": answer.error()}, ensure_ascii=False))
        raise CommandError(Exit.FAILED, f"not restarted: {answer.error()}")
    decision = str(answer.json().get("decision", ""))
    result: dict[str, object] = {"accepted": True, "decision": decision}
    if arguments.wait:
        story = _await_restart(client, arguments.worker, before, arguments.timeout)
        result["restarts"] = story
        if not arguments.json:
            for event in story:
                print(event_line(event))
    elif not arguments.json:
        say(f"the restart of {arguments.worker} is ordered (decision {decision})")
    if arguments.json:
        print(json.dumps(result, ensure_ascii=False))
    return Exit.OK


def _reason(arguments: Namespace) -> str:
    reason: str = arguments.reason or ""
    if not reason and sys.stdin.isatty():
        say("Why? It is kept in the journal.")
        reason = input("reason: ")
    reason = " ".join(reason.split())
    if not reason:
        raise CommandError(Exit.USAGE, "a restart needs --reason TEXT")
    return reason[:500]


def _actor() -> str:
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        name = f"uid {os.getuid()}"
    sudo = os.environ.get("SUDO_USER")
    return f"{name} (sudo by {sudo})" if sudo else name


def _newest_event(client: Client) -> int:
    rows = _event_rows(client, 1, 0)
    return int(str(rows[-1].get("id", 0))) if rows else 0


def _event_rows(client: Client, limit: int, after: int) -> list[Row]:
    answer = client.get(f"/api/v1/events?limit={limit}&after={after}")
    return [json.loads(line) for line in answer.body.splitlines() if line]


def _await_restart(client: Client, worker: str, after: int, timeout_seconds: float) -> list[Row]:
    """The `restart` events of all workers asked for; says on standard error how it goes."""
    deadline = time.monotonic() + timeout_seconds
    waiting = {name for name in _worker_states(client) if worker in ("all", name)}
    story: list[Row] = []
    told: dict[str, str] = {}
    while waiting:
        if time.monotonic() > deadline:
            names = ", ".join(sorted(waiting))
            message = f"not over within {timeout_seconds:g} s: {names}; it goes on"
            raise CommandError(Exit.TEMPORARY, message)
        for event in _event_rows(client, 1000, after):
            after = max(after, int(str(event.get("id", 0))))
            name = str(event.get("worker"))
            if event.get("kind") == "restart" and name in waiting:
                waiting.discard(name)
                story.append(event)
            elif event.get("kind") in ("failure", "abandoned") and name in waiting:
                why = cell(event.get("reason"))
                raise CommandError(Exit.FAILED, f"{name} does not come back yet: {why}")
        for name, state in _worker_states(client).items():
            if name in waiting and told.get(name) != state:
                told[name] = state
                say(f"{name}: {state}")
        time.sleep(_POLL_SECONDS if waiting else 0)
    return story


def _worker_states(client: Client) -> dict[str, str]:
    workers = client.status().get("workers")
    rows = workers if isinstance(workers, list) else []
    return {str(row.get("name")): str(row.get("state")) for row in rows if isinstance(row, dict)}


def stop(arguments: Namespace) -> int:
    """Stop everything: through the supervisor, or its leftovers when none lives."""
    client = place.own_client(arguments)
    try:
        answer = client.post(
            "/api/v1/stop",
            {"reason": arguments.reason or f"stop by {_actor()}", "drain": not arguments.no_drain},
        )
    except CommandError as error:
        if error.code is not Exit.NOT_RUNNING or place.named_socket(arguments):
            raise
        return _stop_leftovers(arguments)
    if answer.status != 202:
        raise CommandError(Exit.FAILED, f"not stopped: {answer.error()}")
    _await_end(client, arguments.timeout)
    say("stopped")
    return Exit.OK


def _stop_leftovers(arguments: Namespace) -> int:
    from supervisor.rescue import stop_leftovers
    from supervisor.runtime.errors import StartError

    say("no supervisor is running; looking for what it left")
    directories = place.directories(arguments)
    drain = {"drain_seconds": 0.0} if arguments.no_drain else {}
    try:
        stopped = stop_leftovers(directories, **drain)
    except StartError as error:
        raise CommandError(Exit(error.exit_code), str(error)) from None
    for one in stopped:
        say(f"{one.name} (pid {one.pid}): {one.how}")
    say("stopped" if stopped else "nothing was running")
    return Exit.OK


def _await_end(client: Client, timeout_seconds: float) -> None:
    """Until nobody listens on the socket, which goes last."""
    deadline = time.monotonic() + timeout_seconds
    heard = time.monotonic()
    told = ""
    while True:
        try:
            now = client.status()
            heard = time.monotonic()
        except CommandError as error:
            if error.code is Exit.NOT_RUNNING:
                return
            if time.monotonic() - heard > _SILENCE_SECONDS:
                raise
            now = {}
        text = _progress(now)
        if text and text != told:
            told = text
            say(text)
        if time.monotonic() > deadline:
            message = f"not over within {timeout_seconds:g} s; it goes on"
            raise CommandError(Exit.TEMPORARY, message)
        time.sleep(_POLL_SECONDS)


def _progress(now: Row) -> str:
    workers = now.get("workers")
    rows = workers if isinstance(workers, list) else []
    parts = [f"{cell(row.get('name'))} {cell(row.get('state'))}" for row in rows]
    return f"{cell(now.get('state'))}: {', '.join(parts)}" if parts else ""


def handover(arguments: Namespace) -> int:
    """Prepare for an exit of the supervisor that leaves gateway and workers serving."""
    answer = place.client(arguments).post("/api/v1/handover", {})
    if answer.status != 200:
        raise CommandError(Exit.FAILED, f"refused: {answer.error()}")
    say("a supervisor that is stopped within 60 s now leaves gateway and workers serving")
    return Exit.OK


def login_link(arguments: Namespace) -> int:
    """Print a fresh one-time link to the console."""
    answer = place.client(arguments).post("/api/v1/login-link", {})
    if answer.status != 200:
        raise CommandError(Exit.FAILED, f"refused: {answer.error()}")
    print(answer.json().get("url", ""))
    return Exit.OK
