"""Nobody notices: the whole product under load while its processes are killed and replaced."""

import asyncio
import json
import os
import signal
import time
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.chaos.load import Load, Report, answers_without_faults
from tests.chaos.product import Product, running

FAULT_SECONDS = 45.0
SETTLE_SECONDS = 60.0


async def moment(load: Load) -> None:
    """Wait until a fault would hurt most: at least 4 in flight, 2 of them mid-stream."""
    end = time.monotonic() + FAULT_SECONDS
    while load.in_flight() < 4 or load.mid_stream() < 2:
        assert time.monotonic() < end, f"never 4 in flight and 2 mid-stream: {load.report}"
        await asyncio.sleep(0.005)


async def recovered(product: Product, old_epoch: str) -> dict[str, Any]:
    """Wait until another generation than `old_epoch` serves."""
    end = time.monotonic() + SETTLE_SECONDS
    while True:
        status = await asyncio.to_thread(product.status)
        workers = status.get("workers") or [{}]
        if workers[0].get("state") == "ready" and workers[0].get("epoch") != old_epoch:
            return status
        assert time.monotonic() < end, f"no successor of {old_epoch}: {status}\n{product.tail()}"
        await asyncio.sleep(0.2)


async def signal_worker(product: Product, load: Load, number: signal.Signals) -> None:
    status = await asyncio.to_thread(product.status)
    worker = status["workers"][0]
    await moment(load)
    os.kill(worker["pid"], number)
    await recovered(product, worker["epoch"])


async def restart_by_operator(product: Product, load: Load) -> None:
    status = await asyncio.to_thread(product.status)
    await moment(load)
    await asyncio.to_thread(product.ctl, "restart", "worker-0", "--reason", "fire drill", "--wait")
    await recovered(product, status["workers"][0]["epoch"])


async def kill_supervisor(product: Product, load: Load) -> None:
    before = await asyncio.to_thread(product.status)
    await moment(load)
    product.kill_supervisor()
    await asyncio.sleep(2.0)
    assert load.in_flight() >= 4, "clients go on without a supervisor"
    product.start()
    after = await asyncio.to_thread(product.wait_ready)
    assert after["workers"][0]["epoch"] == before["workers"][0]["epoch"], "adopted, not replaced"
    assert after["workers"][0]["pid"] == before["workers"][0]["pid"]
    assert after["gateway"]["pid"] == before["gateway"]["pid"]
    assert after["gateway"]["url"] == before["gateway"]["url"]
    assert after["term"] > before["term"]


async def under_load(
    product: Product, faults: Sequence[Callable[[Load], Awaitable[None]]]
) -> Report:
    """Know the answers, start eight clients, fire the faults one by one, let the load end."""
    known = await answers_without_faults(product.url())
    load = Load(product.url(), known)
    running_load = asyncio.create_task(load.run())
    try:
        for fault in faults:
            await fault(load)
            await load.completed(4, FAULT_SECONDS)
    finally:
        load.stop()
        report = await running_load
    return report


def gateway_counters(product: Product) -> dict[str, Any]:
    answer: dict[str, Any] = httpx.get(f"{product.url()}/health", timeout=10).json()
    return answer


@pytest.mark.timeout(420)
def test_no_client_notices(tmp_path: Path) -> None:
    with running() as product:

        async def kill(load: Load) -> None:
            await signal_worker(product, load, signal.SIGKILL)

        async def stop(load: Load) -> None:
            await signal_worker(product, load, signal.SIGSTOP)

        async def restart(load: Load) -> None:
            await restart_by_operator(product, load)

        async def supervisor(load: Load) -> None:
            await kill_supervisor(product, load)

        began = time.monotonic()
        faults = [kill, restart, stop, kill, supervisor, restart, kill]
        report = asyncio.run(under_load(product, faults))
        seconds = time.monotonic() - began
        health = gateway_counters(product)
        events = product.events()
        assert product.stop() == 0, product.tail()
        left = product.processes()
        runtime_files = list(product.runtime.iterdir()) if product.runtime.exists() else []

    summary = {
        "seconds": round(seconds, 1),
        "completed": report.completed,
        "failures": report.failures,
        "wrong": report.wrong,
        "longest_gap_seconds": round(report.longest_gap_seconds, 2),
        "longest_request_seconds": round(report.longest_request_seconds, 2),
        "gateway": health,
        "restarts": [
            {event["cause"]: {phase["name"]: phase["seconds"] for phase in event["phases"]}}
            for event in events
            if event["kind"] == "restart"
        ],
    }
    print(json.dumps(summary, indent=1, ensure_ascii=False))
    assert report.failures == []
    assert report.wrong == []
    assert report.completed >= 40
    assert left == []
    assert runtime_files == []
    counters = health["counters"]
    assert counters["cut"] >= 8, "the faults hit requests"
    assert counters["resumed"] >= 8, "streams were resumed"
    assert counters["failed"] in (0, {}), counters
    explained(events)


def explained(events: list[dict[str, Any]]) -> None:
    """The journal says of every restart why, on what evidence, and how long each phase took."""
    restarts = [event for event in events if event["kind"] == "restart"]
    causes = sorted(event["cause"] for event in restarts)
    assert causes == ["hang", "killed", "killed", "killed", "operator", "operator"], causes
    for event in restarts:
        names = [phase["name"] for phase in event["phases"]]
        assert {"load", "warm", "memory returned"} <= set(names), names
        assert all(phase["seconds"] >= 0 for phase in event["phases"])
        assert event["worker"] == "worker-0"
        assert event["evidence"], event
    assert {e["reason"] for e in restarts if e["cause"] == "operator"} == {"fire drill"}
    (hang,) = (event for event in restarts if event["cause"] == "hang")
    assert hang["evidence"]["process_state"] == "T", hang
    assert any(event["kind"] == "adopted" for event in events)


@pytest.mark.timeout(180)
def test_without_replay_clients_do_notice() -> None:
    """The negative control: the same load and fault must fail when the gateway does not replay."""
    with running(gateway={"replay": False}) as product:

        async def kill(load: Load) -> None:
            await signal_worker(product, load, signal.SIGKILL)

        report = asyncio.run(under_load(product, [kill]))
        assert report.failures
