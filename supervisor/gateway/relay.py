"""All attempts of one request, until its answer is complete or cannot be completed."""

import asyncio
import logging

from supervisor.gateway.attempt import Attempt
from supervisor.gateway.errors import Problem, RefusedError, problem
from supervisor.gateway.hub import Hub
from supervisor.gateway.record import Record
from supervisor.gateway.routing import Route, Waiter, Worker
from supervisor.gateway.steps import (
    Complete,
    Cut,
    Fenced,
    Lost,
    Mismatch,
    Outcome,
    Refused,
    Then,
    Unreachable,
)

log = logging.getLogger("gateway")


async def relay(hub: Hub, record: Record) -> None:
    """Fill the record's outbox and close it; never raises, except when cancelled."""
    try:
        async with asyncio.timeout_at(record.patience.total_at):
            failure = await _tries(hub, record)
    except TimeoutError:
        failure = problem("deadline_exceeded", "the request's total time has passed")
    except RefusedError as refused:
        failure = refused.problem
    except Exception:  # a fault of our own must reach the client as an error, not as silence
        log.exception("request %s failed inside the gateway", record.request_id)
        failure = problem("internal_error", "the gateway failed; the request was not at fault")
    record.outbox.close(failure)


async def _tries(hub: Hub, record: Record) -> Problem | None:
    while True:
        route = await _acquire(hub, record)
        outcome = await _attempt(hub, record, route)
        epoch = route.worker.epoch
        if isinstance(outcome, Lost | Cut):
            record.suspicion.lost(epoch, record.suspicion.alone)
        if isinstance(outcome, Lost) and hub.settings.replay:
            await hub.verdicts.wait(epoch, hub.settings.death_verdict_seconds)
        record.suspicion.settle(hub.verdicts.known, len(record.journal.token_ids))
        step = record.tries.next_step(outcome, condemned=record.suspicion.condemned)
        if step.then is Then.FINISH:
            return None
        if step.then is Then.FAIL:
            return step.problem
        if step.then is Then.RESTART and not _restart(hub, record):
            return problem("fingerprint_mismatch", "no worker computes what this answer began with")


async def _acquire(hub: Hub, record: Record) -> Route:
    waiter = Waiter(record.order, record.suspicion.alone, frozenset(record.avoid))
    return await hub.dispatcher.acquire(waiter, record.patience)


async def _attempt(hub: Hub, record: Record, route: Route) -> Outcome:
    attempt = Attempt(
        record,
        route.worker,
        hub.counters,
        serves=lambda: hub.dispatcher.serves(route),
        cleared=lambda: hub.dispatcher.share(route),
    )
    running = hub.running.setdefault(route.worker.epoch, set())
    running.add(attempt)
    outcome: Outcome | None = None
    try:
        outcome = await attempt.run()
    finally:
        running.discard(attempt)
        if not running:
            hub.running.pop(route.worker.epoch, None)
        hub.dispatcher.release(route, failed=_failed(outcome), full=_full(outcome))
    _note(hub, record, route.worker, outcome, was_running=attempt.opened)
    return outcome


def _failed(outcome: Outcome | None) -> bool:
    if isinstance(outcome, Refused):
        return outcome.problem.status == 503
    return isinstance(outcome, Lost | Fenced | Unreachable)


def _full(outcome: Outcome | None) -> bool:
    return isinstance(outcome, Refused) and outcome.problem.status == 429


def _note(hub: Hub, record: Record, worker: Worker, outcome: Outcome, *, was_running: bool) -> None:
    """Count and log an attempt that did not complete the request."""
    if isinstance(outcome, Lost | Fenced | Cut) or (was_running and isinstance(outcome, Refused)):
        hub.counters.cut += 1
        record.pace.interrupted()
    if isinstance(outcome, Lost | Fenced | Mismatch | Refused):
        record.avoid.add(worker.epoch)
    if isinstance(outcome, Mismatch):
        record.mismatched.add(worker.epoch)
    if not isinstance(outcome, Complete | Cut):
        log.info(
            "request %s on %s (epoch %s) after %d tokens: %s",
            record.request_id,
            worker.name,
            worker.epoch,
            len(record.journal.token_ids),
            _reason(outcome),
        )


def _reason(outcome: Outcome) -> str:
    """For the log: never a worker's message, which may quote the prompt."""
    if isinstance(outcome, Refused):
        return f"refused {outcome.problem.status} {outcome.problem.code}"
    if isinstance(outcome, Lost | Fenced | Unreachable):
        return f"{type(outcome).__name__.lower()}: {outcome.reason}"
    return type(outcome).__name__.lower()


def _restart(hub: Hub, record: Record) -> bool:
    """Begin the answer again for a worker that computes another one; False if nobody can go on."""
    if record.answer.restart():
        record.journal.restart()
        return True
    listed = hub.dispatcher.table.listed()
    return any(route.worker.epoch not in record.mismatched for route in listed)
