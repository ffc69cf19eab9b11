"""Planted bugs: one small function of the core replaced each. A suite that misses one is blind."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from unittest.mock import patch

from supervisor.core import (
    boot,
    budget,
    ending,
    hang,
    machine,
    restart,
    routes,
    shutdown,
    starting,
    story,
    turn,
)
from supervisor.core.effects import Effect, Remember
from supervisor.core.events import Exited, Outcome
from supervisor.core.model import Cause, Generation, Kind, Phase, Slot, State

Mutant = Callable[[], AbstractContextManager[None]]


def _planted(*plants: tuple[object, str, object]) -> Mutant:
    @contextmanager
    def plant() -> Iterator[None]:
        with ExitStack() as stack:
            for module, name, bug in plants:
                assert hasattr(module, name), f"{name} is gone: plant the bug anew"
                stack.enter_context(patch.object(module, name, bug))
            yield

    return plant


def _any_holder(state: State, epoch: str) -> Slot | None:
    """Whoever lives must be meant."""
    living = [slot for slot in state.slots if slot.generation is not None]
    named = [slot for slot in living if slot.generation and slot.generation.epoch == epoch]
    workers = [slot for slot in living if slot.kind is Kind.WORKER]
    return next(iter((*named, *workers)), None)


def _still_listed(generation: Generation) -> bool:
    return generation.ready_at is not None


def _still_open(generation: Generation) -> bool:
    return generation.phase in (Phase.READY, Phase.KILLING, Phase.GONE)


def _finish_then_count(turn_: turn.Turn, slot: Slot, epoch: str) -> Slot:
    """The budget is charged once the restart is over."""
    hung = slot.replacement is not None and slot.replacement.cause is Cause.HANG
    slot = story.finish(turn_, slot, epoch)
    return _RESERVE(slot, turn_.at) if hung else slot


def _remember_at_once(before: State, after: State) -> list[Effect]:
    """Also before all leftovers are known."""
    pairs = zip(before.slots, after.slots, strict=True)
    return [Remember(new) for old, new in pairs if turn.durable(old) != turn.durable(new)]


def _main_process_only(turn_: turn.Turn, slot: Slot, generation: Generation, event: Exited) -> None:
    """The main process is dead; who cares for its children."""
    _DIED(turn_, slot, generation, event)
    dead = turn_.state.slot(slot.name)
    if dead.generation is not None and dead.generation.phase is Phase.KILLING:
        ending.tree_gone(turn_, dead, dead.generation)


def _forget_reply(turn_: turn.Turn, event: object, reason: str) -> None:
    """A denied restart is nobody's business."""


def _stale_death(turn_: turn.Turn, slot: Slot, generation: Generation) -> None:
    """SIGTERM was sent: it must be dead by now."""
    turn_.put_generation(slot, replace(generation, phase=Phase.RECLAIMED, deadline=None))


_RESERVE = budget.reserve
_DIED = ending.died

MUTANTS: dict[str, Mutant] = {
    "epoch check removed": _planted((machine, "holder", _any_holder)),
    "route left open on exit": _planted(
        (routes, "is_listed", _still_listed), (routes, "is_open", _still_open)
    ),
    "memory-returned gate skipped": _planted((ending, "memory_returned", lambda event: True)),
    "budget counted after acting": _planted(
        (budget, "reserve", lambda slot, at: slot), (starting, "finish", _finish_then_count)
    ),
    "unknown counted as failed": _planted(
        (hang, "is_evidence", lambda outcome: outcome not in (Outcome.OK, Outcome.TIMEOUT))
    ),
    "warm-up check skipped": _planted((starting, "warm_up_passed", lambda event: True)),
    "second spawn while the first is alive": _planted(
        (ending, "died", _main_process_only), (machine, "_refuse_stray", lambda *cell: None)
    ),
    "presumed dead after SIGTERM": _planted(
        (ending, "stop_overdue", _stale_death), (machine, "_refuse_stray", lambda *cell: None)
    ),
    "late tick not handled": _planted((machine, "lateness_seconds", lambda at, last, policy: 0.0)),
    "restart repeated after supervisor crash": _planted(
        (boot, "is_successor", lambda restart, epoch: False)
    ),
    "our own kills counted against requests": _planted(
        (ending, "counts", lambda cause, signals_sent: True)
    ),
    "requests moved off an open route": _planted(
        (routes, "is_open", lambda generation: generation.phase in routes.LISTED)
    ),
    "journal replaced by half a boot": _planted((machine, "memories", _remember_at_once)),
    "old readings judged": _planted((hang, "is_stale", lambda at, newest, late: False)),
    "started while stopping": _planted((shutdown, "must_leave", lambda state, slot: False)),
    "denial without an answer": _planted((restart, "deny", _forget_reply)),
}
