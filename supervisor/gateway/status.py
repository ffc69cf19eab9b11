"""What the gateway says about itself: counts, never anything about a client."""

from typing import Literal, TypedDict

from supervisor.gateway.hub import Hub

Status = Literal["ok", "degraded", "holding", "draining", "down"]


class WorkerHealth(TypedDict):
    """One listed worker."""

    name: str
    generation: int
    epoch: str
    route: str
    in_flight: int


class Health(TypedDict):
    """The body of `GET /health`."""

    status: Status
    workers: list[WorkerHealth]
    held: int
    in_flight: int
    counters: dict[str, int | dict[str, int]]
    longest_gap_seconds: float


def health(hub: Hub) -> Health:
    """The state as clients and load balancers see it."""
    table = hub.dispatcher.table
    return {
        "status": _status(hub),
        "workers": [
            {
                "name": route.worker.name,
                "generation": route.worker.generation,
                "epoch": route.worker.epoch,
                "route": "open" if route.worker.open else "closed",
                "in_flight": route.in_flight,
            }
            for route in table.listed()
        ],
        "held": table.waiting,
        "in_flight": sum(table.in_flight().values()),
        "counters": hub.counters.snapshot(),
        "longest_gap_seconds": hub.counters.longest_gap_seconds,
    }


def _status(hub: Hub) -> Status:
    """`down`: neither a worker nor room to wait for one."""
    if hub.draining or hub.stopping is not None:
        return "draining"
    table, now = hub.dispatcher.table, hub.clock()
    usable = [route.usable(now) for route in table.listed()]
    if any(usable):
        return "ok" if all(usable) else "degraded"
    return "holding" if hub.admission.may_wait(table.waiting) else "down"
