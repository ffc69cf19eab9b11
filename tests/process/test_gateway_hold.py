"""Requests wait for a worker: bounded, kept alive, and refused honestly where waiting is vain."""

import asyncio
import time
from collections.abc import AsyncIterator

import httpx

from tests.process.gateway_rig import Rig, Stream, ask, expected, read_stream, rig

CHAT = "/v1/chat/completions"


def assert_problem(response: httpx.Response, status: int, code: str) -> None:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    body = response.json()
    assert body["status"] == status
    assert body["code"] == body["error"]["code"] == code
    assert body["error"]["message"] == body["detail"] != ""


def test_requests_wait_for_the_first_worker() -> None:
    async def run() -> None:
        async with rig() as made, made.client() as client:
            await made.start_gateway(status_delay_seconds=0.1)
            assert (await client.get("/readyz")).status_code == 200
            assert (await client.get("/health")).json()["status"] == "holding"
            begun = Stream()
            stream = asyncio.create_task(read_stream(client, ask("stream"), into=begun))
            plain = asyncio.create_task(client.post(CHAT, json=ask("plain")))
            models = asyncio.create_task(client.get("/v1/models"))
            await made.until(waiting=3)
            await begun.holds(2)
            await made.route(await made.start_worker())
            heard = await stream
            assert heard.text == expected("stream")
            assert heard.done
            holds = [index for index, line in enumerate(heard.lines) if line == ": hold"]
            assert len(holds) >= 2
            # One newline each: no empty line before the first event.
            assert heard.lines[: holds[-1] + 1] == [": hold"] * len(holds)
            assert not any(line.startswith(("id:", "retry:")) for line in heard.lines)
            assert (await plain).json()["choices"][0]["message"]["content"] == expected("plain")
            assert (await models).json()["data"][0]["id"] == "fake-reader"
            assert (await client.get("/health")).json()["status"] == "ok"

    asyncio.run(run())


def test_headers_of_a_stream() -> None:
    async def run() -> None:
        async with rig() as made, made.client() as client:
            await made.start_gateway()
            await made.route(await made.start_worker())
            response = await client.post(CHAT, json=ask("x", stream=True))
            assert response.headers["content-type"].startswith("text/event-stream")
            assert response.headers["x-accel-buffering"] == "no"
            assert response.headers["cache-control"] == "no-cache, no-transform"

    asyncio.run(run())


def test_two_hundred_wait_and_all_are_answered() -> None:
    async def run() -> None:
        async with rig() as made, made.client() as client:
            await made.start_gateway(status_delay_seconds=0.1)

            async def one(number: int) -> bool:
                prompt = f"client {number}"
                if number % 2:
                    response = await client.post(CHAT, json=ask(prompt))
                    text = response.json()["choices"][0]["message"]["content"]
                    return bool(text == expected(prompt))
                stream = await read_stream(client, ask(prompt))
                return stream.done and stream.text == expected(prompt)

            asked = [asyncio.create_task(one(number)) for number in range(200)]
            await made.until(waiting=200)
            # A small worker: what its queue does not take goes on waiting here.
            await made.route(await made.start_worker(slots=4, queue=4, token_seconds=0.001))
            assert all(await asyncio.gather(*asked))
            assert (await made.state())["held"] == 0

    asyncio.run(run())


def test_too_many_waiting_are_refused() -> None:
    async def run() -> None:
        async with rig() as made, made.client() as client:
            await made.start_gateway(hold_requests=2)
            waiting = [asyncio.create_task(client.post(CHAT, json=ask("x"))) for _ in range(2)]
            await made.until(waiting=2)
            refused = await client.post(CHAT, json=ask("x"))
            assert_problem(refused, 503, "overloaded")
            assert 1 <= int(refused.headers["retry-after"]) <= 60
            assert (await client.get("/readyz")).status_code == 503
            health = await client.get("/health")
            assert (health.status_code, health.json()["status"]) == (503, "down")
            await made.route(await made.start_worker())
            assert [(await task).status_code for task in waiting] == [200, 200]
            assert (await client.get("/readyz")).status_code == 200

    asyncio.run(run())


def test_bodies_are_bounded_one_by_one_and_together() -> None:
    async def run() -> None:
        async with rig() as made, made.client() as client:
            await made.start_gateway(body_bytes=10_000, hold_bytes=15_000)
            assert_problem(await client.post(CHAT, json=ask("x" * 20_000)), 413, "body_too_large")

            async def pieces() -> AsyncIterator[bytes]:
                for _ in range(4):
                    yield b"x" * 5000

            response = await client.post(CHAT, content=pieces())
            assert_problem(response, 413, "body_too_large")
            waiting = asyncio.create_task(client.post(CHAT, json=ask("x" * 9000)))
            await made.until(waiting=1)
            assert_problem(await client.post(CHAT, json=ask("x" * 9000)), 503, "overloaded")
            await made.route(await made.start_worker())
            assert (await waiting).status_code == 200
            # What was refused or answered is no longer counted.
            assert (await client.post(CHAT, json=ask("x" * 9000))).status_code == 200

    asyncio.run(run())


def test_an_expectation_beyond_the_deadline_is_told_at_once() -> None:
    async def run() -> None:
        async with rig() as made, made.client() as client:
            await made.start_gateway(total_seconds=20)
            waiting = asyncio.create_task(client.post(CHAT, json=ask("x")))
            await made.until(waiting=1)
            await made.control("POST", "expect", {"ready_in_seconds": 10})
            assert not waiting.done()
            await made.control("POST", "expect", {"ready_in_seconds": 45})
            for refused in (await waiting, await client.post(CHAT, json=ask("x", stream=True))):
                assert_problem(refused, 503, "not_ready")
                assert refused.headers["retry-after"] == "45"
            await made.control("POST", "expect", {"ready_in_seconds": None})
            again = asyncio.create_task(client.post(CHAT, json=ask("x")))
            await made.until(waiting=1)
            await made.route(await made.start_worker())
            assert (await again).status_code == 200

    asyncio.run(run())


async def deadline_is_kept(made: Rig, client: httpx.AsyncClient, *, status_first: bool) -> None:
    assert_problem(await client.post(CHAT, json=ask("plain")), 504, "deadline_exceeded")
    if status_first:
        stream = await read_stream(client, ask("stream"))
        assert stream.broken
        assert not stream.done
        assert stream.error is not None
        assert stream.error["code"] == "deadline_exceeded"
        assert stream.lines[0] == ": hold"
    else:
        response = await client.post(CHAT, json=ask("stream", stream=True))
        assert_problem(response, 504, "deadline_exceeded")


def test_the_total_deadline_before_and_after_the_status_line() -> None:
    async def run() -> None:
        for delay in (0.1, 5.0):
            async with rig() as made, made.client() as client:
                await made.start_gateway(total_seconds=0.6, status_delay_seconds=delay)
                await deadline_is_kept(made, client, status_first=delay < 0.6)
                assert (await made.state())["counters"]["failed"] == {"deadline_exceeded": 2}

    asyncio.run(run())


def test_the_service_deadline_counts_all_workers_but_not_the_waiting() -> None:
    async def run() -> None:
        async with rig() as made, made.client() as client:
            await made.start_gateway(service_seconds=1.0)
            first = await made.start_worker(token_seconds=0.05)
            second = await made.start_worker(token_seconds=0.05)
            waiting = asyncio.create_task(client.post(CHAT, json=ask("x", tokens=10_000)))
            await made.until(waiting=1)
            await asyncio.sleep(1.2)
            assert not waiting.done()
            begun = time.monotonic()
            await made.route(first)
            await first.until(tokens=4)
            await made.route(second)
            assert_problem(await waiting, 504, "deadline_exceeded")
            assert time.monotonic() - begun >= 1.0
            await second.until(cancelled=1)

    asyncio.run(run())


def test_a_full_or_draining_worker_is_waited_for() -> None:
    async def run() -> None:
        async with rig() as made, made.client() as client:
            await made.start_gateway()
            for status, code in ((429, "queue_full"), (503, "draining")):
                worker = await made.start_worker(
                    refuse_status=status, refuse_code=code, refuse_times=2
                )
                await made.route(worker)
                answer = await client.post(CHAT, json=ask("x"))
                assert answer.json()["choices"][0]["message"]["content"] == expected("x")
                assert len((await worker.state())["requests"]) == 3

    asyncio.run(run())
