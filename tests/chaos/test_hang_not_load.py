"""A busy worker is left alone, a stopped one is found."""

import asyncio
import os
import signal
import time

import httpx
import pytest

from tests.chaos.product import Product, running
from tests.chaos.texts import ENGLISH

BUSY_SECONDS = 30.0


async def keep_busy(url: str, seconds: float) -> int:
    """Maximum-size requests, more of them than there are slots, for so long."""
    document = {"type": "text", "text": ENGLISH[:20000]}
    question = {"type": "text", "text": "Summarise."}
    body = {
        "messages": [{"role": "user", "content": [document, question]}],
        "glyph": {"mode": "always"},
        "max_tokens": 400,
        "temperature": 0,
    }
    end = time.monotonic() + seconds
    answered = 0

    async def one(client: httpx.AsyncClient) -> None:
        nonlocal answered
        while time.monotonic() < end:
            answer = await client.post(f"{url}/v1/chat/completions", json=body)
            assert answer.status_code == 200, answer.text
            answered += 1

    async with httpx.AsyncClient(timeout=180) as client, asyncio.TaskGroup() as group:
        for _ in range(10):
            group.create_task(one(client))
    return answered


def restarts(product: Product) -> list[str]:
    return [event["cause"] for event in product.events() if event["kind"] == "restart"]


@pytest.mark.timeout(240)
def test_load_is_no_hang_and_a_stopped_worker_is_one() -> None:
    with running() as product:
        before = product.status()["workers"][0]
        assert asyncio.run(keep_busy(product.url(), BUSY_SECONDS)) > 0
        assert restarts(product) == []
        assert product.status()["workers"][0]["epoch"] == before["epoch"]

        stopped_at = time.monotonic()
        os.kill(before["pid"], signal.SIGSTOP)
        deadline = 8.0  # probing.hang.idle_seconds of the default configuration
        while product.status()["workers"][0]["epoch"] == before["epoch"]:
            assert time.monotonic() - stopped_at < deadline + 12.0, product.tail()
            time.sleep(0.2)
        product.wait_ready()
        assert restarts(product) == ["hang"]
