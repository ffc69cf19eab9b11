"""The status object of docs/wire.md section 6, worked out from the core's state and the latest
looks.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from supervisor.core.events import Outcome
from supervisor.core.model import Kind, Phase, Slot, State, Want
from supervisor.probes.health import GatewayReading
from supervisor.probes.process import ProcessReading
from supervisor.runtime.layout import Layout


@dataclass(frozen=True, slots=True)
class Facts:
    """What status needs besides the state."""

    now: float
    pid: int
    version: str
    started_at: float
    """Monotonic time of the supervisor's start."""
    gateway_url: str
    console_url: str
    gateway: GatewayReading
    processes: Mapping[str, ProcessReading]
    """Costs of each living child, by epoch."""
    last_restarts: Mapping[str, Mapping[str, object]]
    """Newest `restart` event of each worker."""


def build_status(state: State, layout: Layout, facts: Facts) -> dict[str, object]:
    """The object behind `glyphctl status --json`."""
    slots = [slot for slot in state.slots if slot.kind is Kind.WORKER]
    return {
        "state": overall(state),
        "term": state.term,
        "pid": facts.pid,
        "version": facts.version,
        "uptime_seconds": round(facts.now - facts.started_at, 1),
        "gateway": _gateway(state, facts),
        "console": {"url": facts.console_url},
        "workers": [_worker(slot, layout, facts) for slot in slots],
    }


def overall(state: State) -> str:
    """serving, holding, degraded, starting, stopping or down."""
    if state.stopping:
        return "stopping"
    front = next(slot for slot in state.slots if slot.kind is Kind.GATEWAY)
    slots = [slot for slot in state.slots if slot.kind is Kind.WORKER]
    if not _is_ready(front):
        return "down" if slot_state(front) in ("backoff", "broken", "down") else "starting"
    if any(slot_state(slot) in ("backoff", "broken") for slot in slots):
        return "degraded"
    if any(_is_ready(slot) for slot in slots):
        return "serving"
    return "starting" if _is_first_start(slots) else "holding"


def summary(state: State) -> str:
    """One line for systemd's STATUS=."""
    slots = [slot for slot in state.slots if slot.kind is Kind.WORKER]
    ready = sum(_is_ready(slot) for slot in slots)
    return f"{overall(state)}: {ready} of {len(slots)} workers ready, term {state.term}"


def slot_state(slot: Slot) -> str:
    """Phase of its generation in lower case, or why it has none."""
    if slot.generation is not None:
        return slot.generation.phase.value
    if slot.want is not Want.UP:
        return "down"
    return "broken" if slot.broken is not None else "backoff"


def _is_ready(slot: Slot) -> bool:
    return slot.generation is not None and slot.generation.phase is Phase.READY


def _is_first_start(slots: Sequence[Slot]) -> bool:
    return all(slot.restarts == 0 and slot.generations <= 1 for slot in slots)


def _gateway(state: State, facts: Facts) -> dict[str, object]:
    slot = next(slot for slot in state.slots if slot.kind is Kind.GATEWAY)
    generation = slot.generation
    identity = None if generation is None else generation.identity
    return {
        "pid": None if identity is None else identity.pid,
        "url": facts.gateway_url,
        "state": slot_state(slot),
        "epoch": None if generation is None else generation.epoch,
        "held": facts.gateway.held,
        "in_flight": sum(facts.gateway.in_flight.values()),
    }


def _worker(slot: Slot, layout: Layout, facts: Facts) -> dict[str, object]:
    generation = slot.generation
    identity = None if generation is None else generation.identity
    epoch = None if generation is None else generation.epoch
    return {
        "name": slot.name,
        "state": slot_state(slot),
        "pid": None if identity is None else identity.pid,
        "epoch": epoch,
        "generation": slot.generations if generation is None else generation.number,
        "socket": None if epoch is None else str(layout.socket(slot.name, epoch)),
        "since_seconds": None
        if generation is None
        else round(max(0.0, facts.now - generation.entered_at), 1),
        "want": slot.want.value,
        "restarts": slot.restarts,
        "last_restart": facts.last_restarts.get(slot.name),
        "in_flight": None if epoch is None else facts.gateway.in_flight.get(epoch, 0),
        "process": None if epoch is None else _costs(facts.processes.get(epoch)),
        "phase": None if slot.replacement is None else slot.replacement.phase_name,
    }


def _costs(reading: ProcessReading | None) -> dict[str, object] | None:
    if reading is None or reading.outcome is not Outcome.OK:
        return None
    return {
        "rss_bytes": reading.rss_bytes,
        "threads": reading.threads,
        "descriptors": reading.descriptors,
        "zombies": reading.zombies,
        "cpu_seconds": round(reading.cpu_seconds, 2),
    }
