"""One step being worked out: the state so far, the effects so far, and their final order."""

from dataclasses import dataclass, field, replace

from supervisor.core.effects import Effect, ExpectReady, MoveRequests, Record, Remember, SetRoutes
from supervisor.core.model import Generation, Kind, Phase, Slot, State
from supervisor.core.policy import Policy


@dataclass(slots=True)
class Turn:
    """Scratch pad of one call of `step`; nothing of it outlives the call."""

    state: State
    policy: Policy
    at: float
    """Monotonic time of the step: that of the event, but never before the last tick."""
    effects: list[Effect] = field(default_factory=list)
    resend_routes: bool = False
    """The gateway is new or was just adopted: it must be told even what did not change."""

    def put(self, slot: Slot) -> Slot:
        """Replace the slot of that name."""
        slots = tuple(slot if old.name == slot.name else old for old in self.state.slots)
        self.state = replace(self.state, slots=slots)
        return slot

    def put_generation(self, slot: Slot, generation: Generation | None) -> Slot:
        """Replace the generation of a slot."""
        return self.put(replace(slot, generation=generation))

    def emit(self, *effects: Effect) -> None:
        """Add effects in the order in which they are to be performed."""
        self.effects.extend(effects)


def enter(generation: Generation, phase: Phase, at: float, deadline: float | None) -> Generation:
    """The generation in its next phase."""
    return replace(
        generation,
        phase=phase,
        entered_at=at,
        deadline=deadline,
        overdue_alerted=False,
        asked_at=None,
        suspicion=None,
        health_failures=0,
    )


def durable(slot: Slot) -> Slot:
    """What the next supervisor must know of a slot: everything but the latest readings."""
    generation = slot.generation
    if generation is None:
        return slot
    return replace(
        slot,
        generation=replace(
            generation,
            deadline=None,
            health_failures=0,
            overdue_alerted=False,
            last_step=-1,
            in_flight=None,
            asked_at=None,
            silent_since=None,
            health_at=None,
            progress_at=None,
            engine_phase="",
            process_state="",
            suspicion=None,
        ),
    )


def memories(before: State, after: State) -> list[Effect]:
    """A Remember for every slot of which something durable changed.

    None before `Booted`, which remembers all: half of what was found must not replace the journal.
    """
    if not after.booted:
        return []
    if not before.booted:
        return [Remember(slot) for slot in after.slots]
    return [
        Remember(new)
        for old, new in zip(before.slots, after.slots, strict=True)
        if old is not new and durable(old) != durable(new)
    ]


def in_order(effects: list[Effect], remembered: list[Effect], told: list[Effect]) -> list[Effect]:
    """What is durable first, then the gateway's table, then what is done to processes.

    So every destructive act has its reason in the journal, budgets are reserved before they are
    used, and no signal meets an open route or a request.
    """
    durable_first = [effect for effect in effects if isinstance(effect, Record)]
    moves = [effect for effect in effects if isinstance(effect, MoveRequests)]
    rest = [effect for effect in effects if not isinstance(effect, Record | MoveRequests)]
    routes = [effect for effect in told if isinstance(effect, SetRoutes)]
    expectations = [effect for effect in told if isinstance(effect, ExpectReady)]
    return [*durable_first, *remembered, *routes, *expectations, *moves, *rest]


def workers(state: State) -> tuple[Slot, ...]:
    """The worker slots, in order."""
    return tuple(slot for slot in state.slots if slot.kind is Kind.WORKER)


def gateway(state: State) -> Slot | None:
    """The gateway's slot, if the state has one."""
    return next((slot for slot in state.slots if slot.kind is Kind.GATEWAY), None)
