"""What the gateway is told: which generations live, which get requests, and when one will."""

from dataclasses import replace

from supervisor.core.effects import Effect, ExpectReady, SetRoutes
from supervisor.core.model import Generation, Phase, Route, Slot, State
from supervisor.core.policy import Policy
from supervisor.core.turn import workers

LISTED = frozenset({Phase.READY, Phase.DRAINING, Phase.STOPPING})
"""Phases in which requests on a generation may go on; on others the gateway cuts and resumes."""
STARTING = frozenset({Phase.SPAWNED, Phase.LOADING, Phase.WARMING})
TELL_AGAIN_SECONDS = 1.0
"""An expectation that moved by less is not told again."""
LEAST_SECONDS = 1.0


def is_listed(generation: Generation) -> bool:
    """Whether the gateway's table has this generation: it was verified and is not known dead."""
    return generation.phase in LISTED and generation.ready_at is not None


def is_open(generation: Generation) -> bool:
    """Whether new requests may go to this generation."""
    return generation.phase is Phase.READY


def desired(state: State) -> tuple[Route, ...]:
    """The whole table the gateway should have."""
    return tuple(
        Route(slot.name, slot.generation.epoch, slot.generation.number, is_open(slot.generation))
        for slot in workers(state)
        if slot.generation is not None and is_listed(slot.generation)
    )


def remaining_seconds(slot: Slot, at: float, policy: Policy) -> float | None:
    """Expected time until this slot serves (again); None: nobody knows."""
    load = slot.load_estimate_seconds or policy.patience.load_guess_seconds
    generation = slot.generation
    if generation is None:
        if slot.broken is not None:
            return None
        return max(0.0, (slot.start_at or at) - at) + load
    if generation.phase in STARTING:
        began = generation.entered_at if generation.began_at is None else generation.began_at
        return max(LEAST_SECONDS, load - (at - began))
    if generation.phase is Phase.DRAINING and generation.deadline is not None:
        return max(0.0, generation.deadline - at) + load
    return LEAST_SECONDS + load


def expected_at(state: State, at: float, policy: Policy) -> float | None:
    """When a worker should be ready; None while one is, or when nobody knows."""
    if state.stopping or any(route.open for route in state.routes):
        return None
    known = [remaining_seconds(slot, at, policy) for slot in workers(state)]
    times = [seconds for seconds in known if seconds is not None]
    return at + min(times) if times else None


def tell(
    state: State, at: float, policy: Policy, *, again: bool, moved: bool
) -> tuple[State, list[Effect]]:
    """What the gateway must be told now; `again`: all of it, `moved`: slots may have changed."""
    told: list[Effect] = []
    if not state.booted:
        return state, told
    if moved or again:
        routes = desired(state)
        if again or routes != state.routes:
            state = replace(state, routes=routes)
            told.append(SetRoutes(routes))
    expected = expected_at(state, at, policy)
    if again or _differs(expected, state.expected_at):
        state = replace(state, expected_at=expected)
        told.append(ExpectReady(None if expected is None else expected - at))
    return state, told


def _differs(new: float | None, old: float | None) -> bool:
    if new is None or old is None:
        return new is not old
    return abs(new - old) > TELL_AGAIN_SECONDS
