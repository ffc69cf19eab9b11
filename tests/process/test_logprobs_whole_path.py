"""A real gateway before two real workers, one of which is killed in the midst of its answers."""

from __future__ import annotations

import asyncio
import signal
from typing import Any

import openai
import pytest
from openai.types.chat import ChatCompletionTokenLogprob

from tests.process.gateway_rig import Worker, rig
from tests.process.worker_rig import WorkerProcess

TOKENS = 200
WISHES: dict[str, Any] = {
    "model": "embedded",
    "messages": [{"role": "user", "content": "In the beginning"}],
    "temperature": 1.1,
    "seed": 5,
    "max_tokens": TOKENS,
    "presence_penalty": 0.6,
    "frequency_penalty": 0.2,
    "logit_bias": {"40": 2, "300": -100},
    "extra_body": {"repetition_penalty": 1.1, "min_p": 0.001},
    "logprobs": True,
    "top_logprobs": 2,
}
Told = list[tuple[str, float]]


def told(entries: list[ChatCompletionTokenLogprob] | None) -> Told:
    return [(entry.token, entry.logprob) for entry in entries or []]


def client(url: str) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0)


async def plain(asked: openai.AsyncOpenAI) -> tuple[str, Told]:
    choice = (await asked.chat.completions.create(**WISHES)).choices[0]
    return choice.message.content or "", told(choice.logprobs and choice.logprobs.content)


async def stream(asked: openai.AsyncOpenAI, begun: asyncio.Event) -> tuple[str, Told]:
    text, found = "", []
    async for chunk in await asked.chat.completions.create(**WISHES, stream=True):
        choice = chunk.choices[0]
        text += choice.delta.content or ""
        found += told(choice.logprobs and choice.logprobs.content)
        if len(found) >= TOKENS // 4:
            begun.set()
    return text, found


def test_penalties_and_log_probabilities_survive_a_killed_worker() -> None:
    limits = {"max_new_tokens": TOKENS, "max_new_tokens_limit": TOKENS}
    settings = {"kv": {"slots": 4, "length": 1024}, **limits}
    workers = [WorkerProcess(settings) for _ in range(2)]

    async def run() -> None:
        async with rig() as made:
            await made.start_gateway()
            first, second = (Worker(one.socket, one.epoch, one.process) for one in workers)
            await asyncio.gather(*(one.reach("ready") for one in workers))
            await made.route(first, closed=(second,))
            async with client(made.url) as asked:
                expected = await plain(asked)
                begun = asyncio.Event()
                tasks = [asyncio.create_task(plain(asked))]
                tasks += [asyncio.create_task(stream(asked, begun)) for _ in range(2)]
                await begun.wait()
                first.kill(signal.SIGKILL)
                await made.death(first)
                await made.route(second)
                answers = await asyncio.gather(*tasks)
            assert (await made.state())["counters"]["resumed"] == 3
            assert len(expected[1]) == TOKENS
            for text, entries in answers:
                assert text == expected[0]
                assert [token for token, _ in entries] == [token for token, _ in expected[1]]
                values = [value for _, value in entries]
                assert values == pytest.approx([value for _, value in expected[1]], abs=1e-4)

    try:
        asyncio.run(run())
    finally:
        for worker in workers:
            worker.clear()
