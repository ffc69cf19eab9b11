import asyncio
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from supervisor.core.events import Outcome
from supervisor.probes.health import GatewayReading, HealthReading, read_gateway, read_health
from tests.unit.probes.server import Answer, garbage, json_answer, serving, silence, text_answer

EPOCH = "a" * 32


@pytest.fixture
def path() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir="/tmp") as directory:
        yield Path(directory) / "s"


def health(path: Path, answer: Answer, timeout: float = 5.0) -> tuple[HealthReading, list[str]]:
    async def ask() -> tuple[HealthReading, list[str]]:
        async with serving(path, {"/health": answer}) as heads:
            return await read_health(path, EPOCH, 7, timeout), heads

    return asyncio.run(ask())


def test_ready_and_loading(path: Path) -> None:
    reading, heads = health(path, json_answer(200, {"status": "ready", "epoch": EPOCH}))
    assert reading == HealthReading(Outcome.OK, "ready")
    assert "glyph-term: 7" in heads[0].lower()
    reading, _ = health(path, json_answer(503, {"status": "loading", "epoch": EPOCH}))
    assert reading == HealthReading(Outcome.OK, "loading")


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (json_answer(200, {"status": "ready", "epoch": "b" * 32}), Outcome.FAILED),
        (json_answer(200, ["no mapping"]), Outcome.FAILED),
        (text_answer(200, "{"), Outcome.FAILED),
        (json_answer(500, {"epoch": EPOCH}), Outcome.FAILED),
        (garbage, Outcome.FAILED),
    ],
)
def test_wrong_answers(path: Path, answer: Answer, outcome: Outcome) -> None:
    assert health(path, answer)[0].outcome is outcome


def test_silence_is_a_timeout_not_a_failure(path: Path) -> None:
    assert health(path, silence, timeout=0.1)[0].outcome is Outcome.TIMEOUT


def test_nobody_there_is_refused(path: Path) -> None:
    assert asyncio.run(read_health(path, EPOCH, 1, 5.0)).outcome is Outcome.REFUSED
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    assert asyncio.run(read_health(path, EPOCH, 1, 5.0)).outcome is Outcome.REFUSED


def test_gateway_counts(path: Path) -> None:
    state = {"epoch": EPOCH, "accepting": True, "held": 2, "in_flight": {"x": 3, "y": 1}}

    async def ask(content: object) -> GatewayReading:
        async with serving(path, {"/control/state": json_answer(200, content)}):
            return await read_gateway(path, EPOCH, 7, 5.0)

    reading = asyncio.run(ask(state))
    assert (reading.outcome, reading.status, reading.total) == (Outcome.OK, "ready", 6)
    assert asyncio.run(ask({**state, "accepting": False})).status == "draining"
    assert asyncio.run(ask({**state, "epoch": "z"})).outcome is Outcome.FAILED
