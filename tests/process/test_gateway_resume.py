"""Workers are lost in every way while the gateway serves: the answers stay whole and identical."""

import asyncio
import signal
from collections.abc import Awaitable, Callable

import openai
import pytest

from tests.process.fakeanswer import token_id
from tests.process.gateway_rig import Rig, Stream, Worker, ask, expected, read_stream, rig

SLOW = {"token_seconds": 0.02, "hold_back": True}


async def stream_with(
    made: Rig,
    act: Callable[[], Awaitable[None]],
    after: int = 6,
    tokens: int = 24,
    prompt: str = "resume",
) -> Stream:
    """One stream; once `after` chunks have come, `act()` is awaited, once."""
    fired = False

    async def on_chunk(stream: Stream) -> None:
        nonlocal fired
        if len(stream.chunks) >= after and not fired:
            fired = True
            await act()

    async with made.client() as client:
        stream = await read_stream(client, ask(prompt, tokens), on_chunk)
    assert fired
    return stream


def assert_whole(stream: Stream, tokens: int = 24, prompt: str = "resume") -> None:
    assert stream.text == expected(prompt, tokens)
    assert stream.done
    assert not stream.broken
    assert stream.error is None
    assert stream.finish_reason == "length"
    assert len({(chunk["id"], chunk["created"]) for chunk in stream.chunks}) == 1
    roles = [c["choices"][0]["delta"].get("role") for c in stream.chunks if c["choices"]]
    assert roles.count("assistant") == 1
    assert [bool(chunk.get("glyph")) for chunk in stream.chunks].count(True) == 1


async def replace(made: Rig, dead: Worker, *, counted: bool = False, **fake: object) -> Worker:
    """What the supervisor does after a death."""
    await made.death(dead, counted)
    successor = await made.start_worker(**{**SLOW, **fake})
    await made.route(successor)
    return successor


def test_killed_worker_is_not_noticed_by_streams_and_plain_requests() -> None:
    async def run() -> None:
        async with rig() as made, made.client() as client:
            await made.start_gateway()
            first = await made.start_worker(**SLOW)
            await made.route(first)
            plain = asyncio.create_task(
                client.post("/v1/chat/completions", json=ask("plain", tokens=24))
            )
            await first.until(tokens=3)

            async def kill() -> None:
                first.kill()
                await replace(made, first)

            assert_whole(await stream_with(made, kill))
            answer = (await plain).json()
            assert answer["choices"][0]["message"]["content"] == expected("plain", 24)
            assert answer["choices"][0]["finish_reason"] == "length"
            assert answer["usage"]["completion_tokens"] == 24
            state = await made.state()
            counters = state["counters"]
            assert (counters["cut"], counters["resumed"], counters["completed"]) == (2, 2, 2)
            assert counters["failed"] == {}
            assert state["longest_gap_seconds"] > 0

    asyncio.run(run())


def test_the_openai_library_sees_nothing_of_three_deaths() -> None:
    async def run() -> None:
        async with rig() as made:
            await made.start_gateway()
            worker = await made.start_worker(**SLOW)
            await made.route(worker)
            client = openai.AsyncOpenAI(base_url=f"{made.url}/v1", api_key="none", max_retries=0)

            async def one(number: int) -> str:
                body = ask(f"client {number}", tokens=40)
                if number % 2:
                    answer = await client.chat.completions.create(**body)
                    return str(answer.choices[0].message.content)
                chunks = await client.chat.completions.create(**body, stream=True)
                parts = [c.choices[0].delta.content or "" async for c in chunks]
                return "".join(parts)

            tasks = [asyncio.create_task(one(number)) for number in range(8)]
            for _ in range(3):
                await worker.until(tokens=24)
                worker.kill()
                worker = await replace(made, worker)
            texts = await asyncio.gather(*tasks)
            await client.close()
            assert texts == [expected(f"client {number}", 40) for number in range(8)]
            assert (await made.state())["counters"]["completed"] == 8

    asyncio.run(run())


def test_log_probabilities_are_whole_over_two_deaths() -> None:
    """Of every token once, in a stream and in a plain answer, also where text was held back."""

    async def run() -> None:
        async with rig() as made:
            await made.start_gateway()
            slow = {**SLOW, "tokens_per_step": 2}
            worker = await made.start_worker(**slow)
            await made.route(worker)
            client = openai.AsyncOpenAI(base_url=f"{made.url}/v1", api_key="none", max_retries=0)
            body = ask("how sure?", tokens=40, logprobs=True)

            async def stream() -> list[tuple[str, float]]:
                chunks = await client.chat.completions.create(**body, stream=True)
                told = [c.choices[0].logprobs async for c in chunks]
                entries = [entry for one in told if one for entry in one.content or []]
                return [(entry.token, entry.logprob) for entry in entries]

            tasks = [asyncio.create_task(stream()) for _ in range(3)]
            plain = asyncio.create_task(client.chat.completions.create(**body))
            for _ in range(2):
                await worker.until(tokens=40)
                worker.kill()
                worker = await replace(made, worker, tokens_per_step=2)
            choice = (await plain).choices[0]
            streamed = await asyncio.gather(*tasks)
            await client.close()
            assert choice.logprobs is not None
            told = [(entry.token, entry.logprob) for entry in choice.logprobs.content or []]
            assert "".join(token for token, _ in told) == expected("how sure?", 40)
            ids = [token_id("user:how sure?", 7, index) for index in range(40)]
            assert [value for _, value in told] == [-token / 1000 for token in ids]
            assert streamed == [told] * 3
            assert (await made.state())["counters"]["resumed"] >= 4

    asyncio.run(run())


@pytest.mark.parametrize(
    "fault",
    [
        {"break_after_tokens": 9},
        {"half_event_after_tokens": 9},
        {"late_error_after_tokens": 9},
        {"die_after_tokens": 9, "die_with": "SIGSEGV"},
        {"wrong_index_after": 9},
    ],
    ids=lambda fault: next(iter(fault)),
)
def test_a_faulty_worker_beside_a_good_one(fault: dict[str, object]) -> None:
    async def run() -> None:
        async with rig() as made, made.client() as client:
            await made.start_gateway()
            bad = await made.start_worker(**SLOW, **fault)
            good = await made.start_worker(**SLOW)
            await made.route(bad, good)
            # Two requests: whichever worker comes first, the bad one is used.
            for _ in range(2):
                assert_whole(await read_stream(client, ask("resume", 24)))
            counters = (await made.state())["counters"]
            assert counters["resumed"] >= 1, counters
            assert counters["completed"] == 2

    asyncio.run(run())


def test_a_worker_of_another_epoch_is_fenced() -> None:
    async def run() -> None:
        async with rig() as made, made.client() as client:
            await made.start_gateway()
            stale = await made.start_worker(stale_epoch=True)
            successor = await made.start_worker()
            await made.route(stale)
            asked = asyncio.create_task(client.post("/v1/chat/completions", json=ask("x")))
            await made.until(cut=1)
            await made.route(successor)
            assert (await asked).json()["choices"][0]["message"]["content"] == expected("x")

    asyncio.run(run())


def test_a_stopped_worker_is_waited_for_until_it_is_killed() -> None:
    async def run() -> None:
        async with rig() as made:
            await made.start_gateway()
            first = await made.start_worker(**SLOW)
            await made.route(first)

            async def freeze() -> None:
                first.kill(signal.SIGSTOP)
                successor = await made.start_worker(**SLOW)
                first.kill(signal.SIGKILL)
                await made.death(first)
                await made.route(successor)

            assert_whole(await stream_with(made, freeze))

    asyncio.run(run())


@pytest.mark.parametrize("how", ["move", "unlist"])
def test_a_living_worker_is_left_on_command(how: str) -> None:
    async def run() -> None:
        async with rig() as made:
            await made.start_gateway(death_verdict_seconds=30)
            first = await made.start_worker(**SLOW)
            second = await made.start_worker(**SLOW)
            await made.route(first)

            async def leave() -> None:
                if how == "move":
                    await made.route(second, closed=(first,))
                    response = await made.control("POST", "move", {"epoch": first.epoch})
                    assert response.status_code == 202
                else:
                    await made.route(second)

            assert_whole(await stream_with(made, leave))
            assert (await first.until(cancelled=1))["busy"] == 0
            assert (await second.state())["requests"][0]["resumed"] > 0

    asyncio.run(run())


def test_what_runs_on_a_closed_route_finishes_there() -> None:
    async def run() -> None:
        async with rig() as made:
            await made.start_gateway()
            first = await made.start_worker(**SLOW)
            second = await made.start_worker(**SLOW)
            await made.route(first)

            async def close() -> None:
                await made.route(second, closed=(first,))
                async with made.client() as client:
                    answer = await client.post("/v1/chat/completions", json=ask("new"))
                assert answer.json()["choices"][0]["message"]["content"] == expected("new")

            assert_whole(await stream_with(made, close))
            assert (await first.state())["completed"] == 1
            assert (await second.state())["completed"] == 1
            assert (await made.state())["counters"]["cut"] == 0

    asyncio.run(run())


def test_another_model_restarts_what_nobody_saw_and_fails_what_was_seen() -> None:
    async def run() -> None:
        async with rig() as made, made.client() as client:
            await made.start_gateway()
            first = await made.start_worker(**SLOW, wrong_text=True)
            await made.route(first)
            plain = asyncio.create_task(
                client.post("/v1/chat/completions", json=ask("plain", tokens=24))
            )

            async def kill() -> None:
                await first.until(tokens=8)
                first.kill()
                await replace(made, first, fingerprint="fake-2")

            stream = await stream_with(made, kill)
            assert stream.broken
            assert not stream.done
            assert stream.error is not None
            assert stream.error["code"] == "fingerprint_mismatch"
            content = (await plain).json()["choices"][0]["message"]["content"]
            assert content == expected("plain", 24)

    asyncio.run(run())


def test_without_replay_a_death_is_an_error() -> None:
    async def run() -> None:
        async with rig() as made, made.client() as client:
            await made.start_gateway(replay=False)
            first = await made.start_worker(**SLOW)
            await made.route(first)
            plain = asyncio.create_task(
                client.post("/v1/chat/completions", json=ask("plain", tokens=200))
            )

            async def kill() -> None:
                first.kill()

            stream = await stream_with(made, kill, tokens=200)
            assert stream.broken
            assert stream.error is not None
            assert stream.error["code"] == "worker_lost"
            answer = await plain
            assert answer.status_code == 502
            assert answer.json()["error"]["code"] == "worker_lost"

    asyncio.run(run())


def test_a_seed_is_assigned_once_and_kept_over_a_replay() -> None:
    async def run() -> None:
        async with rig() as made, made.client() as client:
            await made.start_gateway()
            first = await made.start_worker(**SLOW)
            await made.route(first)
            body = ask("seedless", tokens=24)
            del body["seed"]
            asked = asyncio.create_task(client.post("/v1/chat/completions", json=body))
            await first.until(tokens=5)
            seed = (await first.state())["requests"][0]["seed"]
            first.kill()
            second = await replace(made, first)
            answer = (await asked).json()
            assert (await second.state())["requests"][0]["seed"] == seed
            assert answer["choices"][0]["message"]["content"] == expected("seedless", 24, seed)

    asyncio.run(run())
