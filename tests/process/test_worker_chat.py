"""Chat completions of a real worker: OpenAI's shapes, real texts, bad requests, lost clients."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import openai
import pytest

from tests.process.worker_rig import Json, WorkerProcess, body, events, running

DATA = Path(__file__).parents[1] / "data"
URL = "/v1/chat/completions"


@pytest.fixture(scope="module")
def worker() -> Iterator[WorkerProcess]:
    yield from running({"kv": {"slots": 4, "length": 8192}, "limits": {"body_bytes": 1_000_000}})


async def ask(client: httpx.AsyncClient, request: Json) -> Json:
    response = await client.post(URL, json=request)
    assert response.status_code == 200, response.text
    answer: Json = response.json()
    return answer


def text_of(answer: Json) -> str:
    text: str = answer["choices"][0]["message"]["content"]
    return text


def openai_client(worker: WorkerProcess) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(
        base_url="http://worker/v1", api_key="none", max_retries=0, http_client=worker.client()
    )


def test_openais_library_plain_and_streamed(worker: WorkerProcess) -> None:
    async def scenario() -> None:
        async with openai_client(worker) as client:
            models = await client.models.list()
            name = models.data[0].id
            messages = [{"role": "user", "content": "Say something"}]
            options = {"model": name, "messages": messages, "temperature": 0, "max_tokens": 30}
            plain = await client.chat.completions.create(**options)
            assert plain.object == "chat.completion"
            assert plain.choices[0].finish_reason == "length"
            assert plain.usage.completion_tokens == 30
            stream = await client.chat.completions.create(
                **options, stream=True, stream_options={"include_usage": True}
            )
            chunks = [chunk async for chunk in stream]
            pieces = [chunk.choices[0].delta.content or "" for chunk in chunks[:-1]]
            assert "".join(pieces) == plain.choices[0].message.content
            assert chunks[0].choices[0].delta.role == "assistant"
            assert chunks[-2].choices[0].finish_reason == "length"
            assert chunks[-1].choices == []
            assert chunks[-1].usage == plain.usage
            assert {chunk.id for chunk in chunks} == {chunks[0].id}
            assert {chunk.object for chunk in chunks} == {"chat.completion.chunk"}

    asyncio.run(scenario())


def test_openais_library_reads_log_probabilities(worker: WorkerProcess) -> None:
    async def scenario() -> None:
        async with openai_client(worker) as client:
            options = {
                "model": "embedded",
                "messages": [{"role": "user", "content": "Say something"}],
                "temperature": 0,
                "max_tokens": 20,
                "frequency_penalty": 0.3,
                "logit_bias": {"40": -5},
                "extra_body": {"repetition_penalty": 1.1},
                "logprobs": True,
                "top_logprobs": 3,
            }
            plain = (await client.chat.completions.create(**options)).choices[0]
            told = plain.logprobs.content
            assert len(told) == 20
            assert all(len(entry.top_logprobs) == 3 for entry in told)
            for entry in told:
                values = [other.logprob for other in entry.top_logprobs]
                assert values == sorted(values, reverse=True)
                assert entry.logprob <= values[0] <= 0
            spelled = b"".join(bytes(entry.bytes or ()) for entry in told)
            assert spelled.decode("utf-8", "replace") == plain.message.content
            stream = await client.chat.completions.create(**options, stream=True)
            choices = [chunk.choices[0] async for chunk in stream]
            streamed = [e for c in choices if c.logprobs for e in c.logprobs.content]
            assert [(e.token, e.bytes) for e in streamed] == [(e.token, e.bytes) for e in told]
            assert "".join(c.delta.content or "" for c in choices) == plain.message.content

    asyncio.run(scenario())


def test_openais_library_understands_refusals(worker: WorkerProcess) -> None:
    async def scenario() -> None:
        async with openai_client(worker) as client:
            messages = [{"role": "user", "content": "x"}]
            with pytest.raises(openai.UnprocessableEntityError, match="temperature") as raised:
                await client.chat.completions.create(
                    model="embedded", messages=messages, temperature=3
                )
            assert raised.value.param == "temperature"

    asyncio.run(scenario())


def test_any_name_of_the_one_model_will_do(worker: WorkerProcess) -> None:
    async def scenario() -> None:
        async with openai_client(worker) as client:
            messages = [{"role": "user", "content": "x"}]
            answer = await client.chat.completions.create(
                model="gpt-9", messages=messages, max_tokens=2
            )
            assert answer.model == "embedded"

    asyncio.run(scenario())


def test_a_stream_without_usage_has_none(worker: WorkerProcess) -> None:
    async def scenario() -> None:
        async with worker.client() as client:
            request = body(max_tokens=5, stream=True)
            async with client.stream("POST", URL, json=request) as response:
                assert response.headers["content-type"].startswith("text/event-stream")
                assert response.headers["x-accel-buffering"] == "no"
                assert response.headers["cache-control"] == "no-cache, no-transform"
                received = [data async for data in events(response)]
            assert received[-1] == "[DONE]"
            chunks = [json.loads(data) for data in received[:-1]]
            assert all("usage" not in chunk for chunk in chunks)
            assert all(len(chunk["choices"]) == 1 for chunk in chunks)
            assert [chunk["choices"][0]["finish_reason"] for chunk in chunks][-1] == "length"
            assert "token_ids" not in received[1]

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("name", "profile"), [("genesis-kjv.txt", "glyph-en"), ("tang-poems.txt", "glyph-zh")]
)
def test_real_texts_are_read_as_pages(worker: WorkerProcess, name: str, profile: str) -> None:
    text = (DATA / name).read_text("utf-8")
    content = [{"type": "text", "text": text}, {"type": "text", "text": "What happens?"}]
    request = {
        "messages": [{"role": "user", "content": content}],
        "glyph": {"mode": "always", "profile": profile},
        "max_tokens": 8,
    }

    async def scenario() -> Json:
        async with worker.client() as client:
            return await ask(client, request)

    answer = asyncio.run(scenario())
    details = answer["usage"]["prompt_tokens_details"]
    assert details["characters"] == details["characters_laid_out"] == len(text) >= 20_000
    assert details["missing_glyphs"] == 0
    assert details["visual_tokens"] == details["pages"] * 630
    assert details["text_tokens"] + details["visual_tokens"] == answer["usage"]["prompt_tokens"]
    expected = details["replaced_text_tokens"] / details["visual_tokens"]
    assert details["compression"] == pytest.approx(expected)
    assert answer["glyph"]["pages"] == details["pages"] > 1
    assert (answer["glyph"]["mode"], answer["glyph"]["profile"]) == ("always", profile)


REQUESTS = [
    body(
        f"Question {number}: " + "and so on " * (number % 5 * 8),
        max_tokens=10 + number * 7 % 40,
        stream=number % 2 == 1,
        temperature=0.8 if number % 3 == 2 else 0,
        seed=number,
        glyph={"mode": "always" if number % 4 == 1 else "auto", "dpi": 36},
    )
    for number in range(14)
]


async def answer_text(client: httpx.AsyncClient, request: Json) -> str:
    if not request["stream"]:
        return text_of(await ask(client, request))
    pieces: list[str] = []
    async with client.stream("POST", URL, json=request) as response:
        async for data in events(response):
            if data == "[DONE]":
                return "".join(pieces)
            pieces.append(json.loads(data)["choices"][0]["delta"].get("content", ""))
    raise AssertionError("the stream did not end")


def test_in_company_each_gets_what_it_gets_alone(worker: WorkerProcess) -> None:
    """More requests than slots, joining and leaving; greedy and seeded, text and pages."""

    async def scenario() -> None:
        async with worker.client() as client:
            alone = [await answer_text(client, request) for request in REQUESTS]
            together = await asyncio.gather(*(answer_text(client, request) for request in REQUESTS))
            assert together == alone
            assert len(set(alone)) == len(alone)

    asyncio.run(scenario())


def test_greedy_answers_are_generates(worker: WorkerProcess) -> None:
    """From the text of the body to the text of the answer, against the library's own way."""
    expected = [_generated("tell me", []), _generated("what is it?", ["In the beginning"] * 2)]

    async def scenario() -> list[str]:
        documents = [{"type": "text", "text": "In the beginning"}] * 2
        content = [*documents, {"type": "text", "text": "what is it?"}]
        glyph = {"mode": "always", "dpi": 36}
        paged = {"messages": [{"role": "user", "content": content}], "glyph": glyph}
        async with worker.client() as client:
            requests = [body("tell me"), {**paged, "temperature": 0}]
            answers = [await ask(client, {**request, "max_tokens": 40}) for request in requests]
            return [text_of(answer) for answer in answers]

    assert asyncio.run(scenario()) == expected


def _generated(question: str, documents: list[str]) -> str:
    import torch
    from transformers import AutoTokenizer, Glm4vForConditionalGeneration
    from transformers.models.glm4v.image_processing_pil_glm4v import Glm4vImageProcessorPil

    from inference.config import decode
    from inference.models import ensure_model
    from inference.render import render_pages, resolve_style
    from tests.process.worker_rig import model_cache

    config = decode({"model_cache_directory": str(model_cache())})
    directory = ensure_model(config)
    style = resolve_style(config.render.profiles["glyph-en"], 36)
    pages = [page.pixels for text in documents for page in render_pages(text, style)]
    tokenizer = AutoTokenizer.from_pretrained(directory)
    model = Glm4vForConditionalGeneration.from_pretrained(directory, dtype=torch.float32).eval()
    content = [{"type": "image"}] * len(pages) + [{"type": "text", "text": question}]
    messages = [{"role": "user", "content": content if pages else question}]
    ids = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)
    inputs = {}
    if pages:
        seen = Glm4vImageProcessorPil()(images=pages, return_tensors="pt")
        tokens = seen["image_grid_thw"][0].prod().item() // 4
        image = model.config.image_token_id
        ids = [copy for token in ids for copy in [token] * (tokens if token == image else 1)]
        inputs = {**seen, "mm_token_type_ids": torch.tensor([[int(i == image) for i in ids]])}
    prompt = torch.tensor([ids])
    out = model.generate(
        input_ids=prompt,
        attention_mask=torch.ones_like(prompt),
        max_new_tokens=40,
        do_sample=False,
        **inputs,
    )
    return str(tokenizer.decode(out[0, len(ids) :], skip_special_tokens=True))


def test_a_stop_string_ends_the_answer(worker: WorkerProcess) -> None:
    async def scenario() -> None:
        async with worker.client() as client:
            whole = text_of(await ask(client, body(max_tokens=60)))
            stop = whole[20:23]
            cut = await ask(client, body(max_tokens=60, stop=[stop]))
            assert text_of(cut) == whole[: whole.index(stop)]
            assert cut["choices"][0]["finish_reason"] == "stop"
            assert cut["usage"]["completion_tokens"] < 60

    asyncio.run(scenario())


BAD: list[tuple[bytes, int, str]] = [
    (b"", 422, "invalid_request"),
    (b"{", 422, "invalid_request"),
    (b"[1]", 422, "invalid_request"),
    (b"\xff", 422, "invalid_request"),
    (b'{"messages": []}', 422, "invalid_request"),
    (b'{"messages": [{"role": "user", "content": "\\ud800"}]}', 422, "invalid_request"),
    (json.dumps(body(n=2)).encode(), 422, "unsupported"),
    (json.dumps(body(tools=[{"type": "function"}])).encode(), 422, "unsupported"),
    (json.dumps(body(glyph={"profile": "none"})).encode(), 422, "invalid_request"),
    (json.dumps(body(glyph={"dpi": 5000})).encode(), 422, "invalid_request"),
    (json.dumps(body("many " * 90_000)).encode(), 413, "context_length_exceeded"),
    (
        json.dumps(body("字" * 30_000, glyph={"mode": "never"})).encode(),
        413,
        "context_length_exceeded",
    ),
    (
        json.dumps(body("\n" * 100_000, glyph={"mode": "always"})).encode(),
        413,
        "context_length_exceeded",
    ),
    (b'{"x": "' + b"y" * 1_000_000 + b'"}', 413, "body_too_large"),
]


def test_bad_requests_are_answered_and_hurt_nothing(worker: WorkerProcess) -> None:
    async def chunked(raw: bytes) -> AsyncIterator[bytes]:
        for start in range(0, len(raw), 65536):
            yield raw[start : start + 65536]

    async def scenario() -> None:
        async with worker.client() as client:
            before = text_of(await ask(client, body(max_tokens=5)))
            for raw, status, code in BAD:
                for content in (raw, chunked(raw)):
                    response = await client.post(URL, content=content)
                    found = response.json()
                    assert (response.status_code, found["code"]) == (status, code), raw[:80]
                    assert response.headers["content-type"] == "application/problem+json"
                    assert found["error"]["code"] == code
                    assert found["error"]["message"] == found["detail"]
                    assert {"type", "title", "status"} <= found.keys()
            for method, path, status in [
                ("GET", URL, 405),
                ("GET", "/nowhere", 404),
                ("GET", "/control/drain", 405),
            ]:
                response = await client.request(method, path)
                assert (response.status_code, response.json()["status"]) == (status, status)
            assert text_of(await ask(client, body(max_tokens=5))) == before

    asyncio.run(scenario())


def test_odd_texts_are_answered(worker: WorkerProcess) -> None:
    async def scenario() -> None:
        async with worker.client() as client:
            for text in (
                "",
                " ",
                "\x00",
                "<|image|><|endoftext|>",
                "🦊\u200d" * 50,
                "\r\n\t\x85",
                "e\u0301",
            ):
                for mode in ("always", "never"):
                    answer = await ask(client, body(text, max_tokens=2, glyph={"mode": mode}))
                    assert answer["usage"]["completion_tokens"] == 2
                    drawn = answer["glyph"]
                    assert drawn["characters"] == drawn["characters_laid_out"]

    asyncio.run(scenario())


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_leaves_frees_its_slot(worker: WorkerProcess, stream: bool) -> None:
    async def slots(busy: int) -> Json:
        while (health := await worker.health())["slots"]["busy"] != busy:
            await asyncio.sleep(0.01)
        return health

    async def scenario() -> None:
        async with worker.client() as client:
            request = body(max_tokens=4000, stream=stream)
            left = [asyncio.create_task(client.post(URL, json=request)) for _ in range(6)]
            health = await asyncio.wait_for(slots(4), 30)
            assert health["queue"] == 2
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)
            health = await asyncio.wait_for(slots(0), 5)
            assert health["queue"] == 0
            while worker.progress()["in_flight"]:
                await asyncio.sleep(0.01)
            answer = await ask(client, body(max_tokens=5))
            assert answer["usage"]["completion_tokens"] == 5

    asyncio.run(asyncio.wait_for(scenario(), 60))


def test_more_than_slots_and_queue_get_429() -> None:
    for worker in running({"kv": {"slots": 1}, "queue": 1}):

        async def scenario(worker: WorkerProcess = worker) -> None:
            async with worker.client() as client:
                request = body(max_tokens=300)
                responses = await asyncio.gather(
                    *(client.post(URL, json=request) for _ in range(6))
                )
                codes = sorted(response.status_code for response in responses)
                assert codes == [200, 200, 429, 429, 429, 429]
                assert "queue_full" in {r.json().get("code") for r in responses}

        asyncio.run(scenario())


def test_health_answers_at_once_under_load(worker: WorkerProcess) -> None:
    """Not by the engine thread: it answers in the midst of prefills of thousands of tokens."""
    text = (DATA / "genesis-kjv.txt").read_text("utf-8")

    async def scenario() -> None:
        async with worker.client() as client:
            request = body(text, max_tokens=20, glyph={"mode": "always"})
            load = [asyncio.create_task(ask(client, request)) for _ in range(4)]
            phases = set()
            while not all(task.done() for task in load):
                health = await asyncio.wait_for(worker.health(), 5)
                phases.add(health["phase"])
                await asyncio.sleep(0.01)
            await asyncio.gather(*load)
            assert {"vision", "prefill"} <= phases

    asyncio.run(scenario())
