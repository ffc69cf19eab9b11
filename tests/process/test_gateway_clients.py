"""What clients may do wrong, and what they are told; cancellation; poison."""

import asyncio
import socket

import httpx
import openai
import pytest

from tests.process.gateway_rig import Rig, Stream, ask, expected, read_stream, rig
from tests.process.test_gateway_hold import CHAT, assert_problem


def test_a_bad_request_is_the_clients_and_never_a_500() -> None:
    async def run() -> None:
        async with rig() as made, made.client() as client:
            await made.start_gateway()
            await made.route(await made.start_worker())
            for body in (
                b"",
                b"{",
                b"[]",
                b"\xff\xfe",
                b'{"a": NaN}',
                b'{"a": 1e999}',
                b'{"a": "\\ud800"}',
                b"[" * 100_000,
                b'{"stream": "yes"}',
                b'{"glyph": []}',
                b'{"glyph": {"resume_token_ids": [1]}}',
                b'{"stream_options": 1}',
            ):
                assert_problem(await client.post(CHAT, content=body), 422, "invalid_request")
            assert_problem(await client.get(CHAT), 405, "method_not_allowed")
            assert_problem(await client.post("/v1/models"), 405, "method_not_allowed")
            assert_problem(await client.get("/nothing"), 404, "not_found")
            # The worker's own refusals pass through, for both kinds of answer.
            for stream in (False, True):
                refused = await client.post(CHAT, json=ask("x", n=2, stream=stream))
                assert_problem(refused, 422, "unsupported")
            assert (await client.get("/livez")).status_code == 200

    asyncio.run(run())


def test_a_refusal_after_the_status_line_is_an_event() -> None:
    async def run() -> None:
        async with rig() as made, made.client() as client:
            await made.start_gateway(status_delay_seconds=0.05)
            begun = Stream()
            stream = asyncio.create_task(read_stream(client, ask("x", n=2), into=begun))
            await begun.holds(1)
            await made.route(await made.start_worker())
            heard = await stream
            assert heard.error is not None
            assert heard.error["code"] == "unsupported"
            assert heard.broken

    asyncio.run(run())


def test_an_engine_error_is_tried_again_and_then_told() -> None:
    async def run() -> None:
        async with rig() as made, made.client() as client:
            await made.start_gateway()
            worker = await made.start_worker(refuse_status=500, refuse_times=4)
            await made.route(worker)
            assert_problem(await client.post(CHAT, json=ask("x")), 500, "engine_error")
            assert (await client.post(CHAT, json=ask("x"))).status_code == 200

    asyncio.run(run())


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_goes_away_frees_the_worker(stream: bool) -> None:
    async def run() -> None:
        async with rig() as made, made.client() as client:
            await made.start_gateway()
            worker = await made.start_worker(token_seconds=0.02)
            await made.route(worker)
            body = ask("x", tokens=100_000, stream=stream)
            asked = asyncio.create_task(client.post(CHAT, json=body))
            await worker.until(tokens=3)
            asked.cancel()
            assert (await worker.until(cancelled=1))["busy"] == 0
            state = await made.until(cancelled=1)
            assert state["in_flight"] == {worker.epoch: 0}

    asyncio.run(run())


def test_a_client_that_goes_away_while_waiting_is_forgotten() -> None:
    async def run() -> None:
        async with rig() as made, made.client() as client:
            await made.start_gateway()
            asked = asyncio.create_task(client.post(CHAT, json=ask("x")))
            await made.until(waiting=1)
            asked.cancel()
            assert (await made.until(cancelled=1))["held"] == 0

    asyncio.run(run())


def test_a_slow_reader_is_not_read_ahead_of_without_bound() -> None:
    async def run() -> None:
        async with rig() as made:
            await made.start_gateway()
            worker = await made.start_worker(tokens_per_step=2000)
            await made.route(worker)
            tokens = 10_000_000
            body = httpx.Request("POST", f"{made.url}{CHAT}", json=ask("x", tokens, stream=True))
            with socket.create_connection(made.listener.getsockname()) as connection:
                head = f"POST {CHAT} HTTP/1.1\r\nhost: x\r\ncontent-length: "
                connection.sendall(f"{head}{len(body.content)}\r\n\r\n".encode() + body.content)
                await worker.until(tokens=2000)
                last, settled = 0, 0
                while settled < 10:  # until the worker stands still
                    await asyncio.sleep(0.1)
                    now = (await worker.state())["tokens"]
                    settled, last = (settled + 1 if now == last else 0), now
            assert last < tokens
            await worker.until(cancelled=1)

    asyncio.run(run())


async def die_and_replace(made: Rig, times: int) -> None:
    """Play the supervisor for a worker that dies of a prompt `times` times, each death counted."""
    worker = await made.start_worker(die_on="poison", token_seconds=0.005)
    await made.route(worker)
    for number in range(times):
        await worker.gone()
        await made.death(worker, counted=True)
        more = {"die_on": "poison"} if number < times - 1 else {}
        worker = await made.start_worker(token_seconds=0.005, **more)
        await made.route(worker)


def test_a_request_that_kills_workers_is_condemned_alone() -> None:
    async def run() -> None:
        async with rig() as made, made.client() as client:
            await made.start_gateway(death_verdict_seconds=10)
            bystanders = [
                asyncio.create_task(client.post(CHAT, json=ask(f"good {number}", tokens=100)))
                for number in range(3)
            ]
            poison = asyncio.create_task(client.post(CHAT, json=ask("poison")))
            stream = asyncio.create_task(read_stream(client, ask("good stream", tokens=100)))
            await made.until(waiting=5)
            await die_and_replace(made, 3)
            assert_problem(await poison, 422, "poison_request")
            for number, task in enumerate(bystanders):
                answer = (await task).json()
                text = answer["choices"][0]["message"]["content"]
                assert text == expected(f"good {number}", 100)
            heard = await stream
            assert heard.text == expected("good stream", 100)
            assert heard.done

    asyncio.run(run())


def test_uncounted_deaths_condemn_nobody() -> None:
    async def run() -> None:
        async with rig() as made, made.client() as client:
            await made.start_gateway()
            asked = asyncio.create_task(client.post(CHAT, json=ask("poison")))
            for _ in range(4):
                worker = await made.start_worker(die_on="poison")
                await made.route(worker)
                await worker.gone()
                await made.death(worker, counted=False)
            await made.route(await made.start_worker())
            assert (await asked).status_code == 200

    asyncio.run(run())


def test_a_request_gives_up_after_its_attempts() -> None:
    async def run() -> None:
        async with rig() as made, made.client() as client:
            await made.start_gateway(attempts=2)
            asked = asyncio.create_task(client.post(CHAT, json=ask("poison")))
            for _ in range(2):
                worker = await made.start_worker(die_on="poison")
                await made.route(worker)
                await worker.gone()
                await made.death(worker)
            assert_problem(await asked, 502, "worker_lost")

    asyncio.run(run())


def test_a_late_error_is_an_error_for_the_openai_library_too() -> None:
    async def run() -> None:
        async with rig() as made:
            await made.start_gateway(replay=False)
            worker = await made.start_worker(token_seconds=0.02, break_after_tokens=5)
            await made.route(worker)
            client = openai.AsyncOpenAI(base_url=f"{made.url}/v1", api_key="none", max_retries=0)
            chunks = await client.chat.completions.create(**ask("x", tokens=20), stream=True)
            with pytest.raises(openai.APIError):
                await anext(c async for c in chunks if c is None)
            await client.close()

    asyncio.run(run())
