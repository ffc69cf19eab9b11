from dataclasses import replace
from pathlib import Path

import pytest

from supervisor.config.paths import Directories
from supervisor.core.events import Outcome
from supervisor.core.machine import initial
from supervisor.core.model import Cause, Generation, Identity, Kind, Phase, Slot, State, Want
from supervisor.probes.health import GatewayReading
from supervisor.probes.process import ProcessReading
from supervisor.runtime.layout import Layout
from supervisor.runtime.status import Facts, build_status, overall, slot_state, summary

LAYOUT = Layout(Directories(Path("/state"), Path("/run/g")), ("worker-0",))
EMPTY = initial([("gateway", Kind.GATEWAY), ("worker-0", Kind.WORKER)])
FACTS = Facts(
    now=110.0,
    pid=1,
    version="9",
    started_at=100.0,
    gateway_url="http://127.0.0.1:8000",
    console_url="http://127.0.0.1:8900",
    gateway=GatewayReading(Outcome.OK, "ready", 2, {"w" * 32: 3}),
    processes={"w" * 32: ProcessReading(Outcome.OK, rss_bytes=7)},
    last_restarts={},
)


def occupied(slot: Slot, phase: Phase, epoch: str) -> Slot:
    identity = Identity("b", 77, 1)
    return replace(slot, generation=Generation(epoch, 3, phase, 105.0, None, identity))


def scene(gateway: Phase | None, worker: Phase | None, **slot: object) -> State:
    front, back = EMPTY.slots
    back = replace(back, **slot)  # type: ignore[arg-type]
    if gateway is not None:
        front = occupied(front, gateway, "g" * 32)
    if worker is not None:
        back = occupied(back, worker, "w" * 32)
    return replace(EMPTY, slots=(front, back), term=4)


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (scene(Phase.READY, Phase.READY), "serving"),
        (scene(Phase.READY, Phase.LOADING), "starting"),
        (scene(Phase.READY, Phase.LOADING, restarts=1), "holding"),
        (scene(Phase.READY, Phase.DRAINING, restarts=1), "holding"),
        (scene(Phase.READY, None), "degraded"),
        (scene(Phase.READY, None, broken=Cause.CONFIGURATION), "degraded"),
        (scene(Phase.LOADING, Phase.READY), "starting"),
        (scene(None, Phase.READY), "down"),
        (replace(scene(Phase.READY, Phase.READY), stopping=True), "stopping"),
    ],
)
def test_overall(state: State, expected: str) -> None:
    assert overall(state) == expected
    assert summary(state).startswith(expected)


def test_state_of_an_empty_slot() -> None:
    slot = EMPTY.slots[1]
    assert slot_state(slot) == "backoff"
    assert slot_state(replace(slot, broken=Cause.CONFIGURATION)) == "broken"
    assert slot_state(replace(slot, want=Want.DOWN)) == "down"


def test_status_object() -> None:
    status = build_status(scene(Phase.READY, Phase.READY), LAYOUT, FACTS)
    assert {"state", "term", "pid", "version", "uptime_seconds", "gateway", "console"} < set(status)
    assert (status["term"], status["uptime_seconds"]) == (4, 10.0)
    gateway = status["gateway"]
    assert isinstance(gateway, dict)
    assert (gateway["pid"], gateway["held"], gateway["in_flight"]) == (77, 2, 3)
    workers = status["workers"]
    assert isinstance(workers, list)
    (worker,) = workers
    assert worker["socket"] == "/run/g/w0-wwwwwwww.sock"
    assert (worker["generation"], worker["since_seconds"], worker["want"]) == (3, 5.0, "up")
    assert worker["process"]["rss_bytes"] == 7
