"""Ask a child how it is: a worker's `/health`, the gateway's control state (docs/wire.md, sections
4 and 5).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from supervisor.core.events import Outcome
from supervisor.probes.client import BrokenAnswerError, ask, outcome_of


@dataclass(frozen=True, slots=True)
class HealthReading:
    """One look at a worker."""

    outcome: Outcome
    status: str = ""
    """The worker's own word: loading, warming, ready, draining, stopping."""


@dataclass(frozen=True, slots=True)
class GatewayReading:
    """One look at the gateway."""

    outcome: Outcome
    status: str = ""
    """`ready` while it accepts, else `draining`."""
    held: int = 0
    in_flight: Mapping[str, int] = field(default_factory=dict)
    """Requests running, by the epoch they run on."""

    @property
    def total(self) -> int:
        """All it holds and runs."""
        return self.held + sum(self.in_flight.values())


async def read_health(socket: Path, epoch: str, term: int, timeout_seconds: float) -> HealthReading:
    """Ask a worker; never raises."""
    outcome, data = await _get_json(socket, "/health", term, timeout_seconds)
    if outcome is not Outcome.OK:
        return HealthReading(outcome)
    if data.get("epoch") != epoch:
        return HealthReading(Outcome.FAILED)
    return HealthReading(Outcome.OK, str(data.get("status", "")))


async def read_gateway(
    control: Path, epoch: str, term: int, timeout_seconds: float
) -> GatewayReading:
    """Ask the gateway; never raises."""
    outcome, data = await _get_json(control, "/control/state", term, timeout_seconds)
    if outcome is not Outcome.OK:
        return GatewayReading(outcome)
    if data.get("epoch") != epoch:
        return GatewayReading(Outcome.FAILED)
    in_flight, held = data.get("in_flight"), data.get("held")
    return GatewayReading(
        Outcome.OK,
        "ready" if data.get("accepting") is True else "draining",
        held if isinstance(held, int) else 0,
        {str(name): count for name, count in in_flight.items() if isinstance(count, int)}
        if isinstance(in_flight, dict)
        else {},
    )


async def _get_json(
    socket: Path, path: str, term: int, timeout_seconds: float
) -> tuple[Outcome, dict[str, object]]:
    try:
        answer = await ask(socket, "GET", path, term=term, timeout_seconds=timeout_seconds)
    except TimeoutError:
        return Outcome.TIMEOUT, {}
    except (OSError, BrokenAnswerError) as error:
        return outcome_of(error), {}
    if answer.status not in (200, 503):
        return Outcome.FAILED, {}
    try:
        data = json.loads(answer.body)
    except ValueError:
        return Outcome.FAILED, {}
    return (Outcome.OK, data) if isinstance(data, dict) else (Outcome.FAILED, {})
