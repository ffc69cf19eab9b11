"""The internal stream of docs/wire.md: fencing members, and resuming at every possible token."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator

import httpx
import pytest

from tests.process.worker_rig import Journal, Json, WorkerProcess, body, journal, running

URL = "/v1/chat/completions"
COUNT = 40


@pytest.fixture(scope="module")
def worker() -> Iterator[WorkerProcess]:
    yield from running({"kv": {"slots": 4, "length": 2048}, "max_new_tokens_limit": 1024})


def paged(**keys: object) -> Json:
    request = body("a document to be drawn", max_tokens=COUNT, **keys)
    request["glyph"] = {"mode": "always", "dpi": 36}
    return request


def resumed(request: Json, ids: list[int], text_bytes: int, **glyph: object) -> Json:
    told = {"resume_token_ids": ids, "resume_text_bytes": text_bytes, **glyph}
    return {**request, "glyph": {**request.get("glyph", {}), **told}}


def run(worker: WorkerProcess, *requests: Json) -> list[Journal]:
    async def scenario() -> list[Journal]:
        async with worker.client() as client:
            return [await journal(client, request) for request in requests]

    return asyncio.run(scenario())


def test_the_stream_is_as_written(worker: WorkerProcess) -> None:
    (found,) = run(worker, paged())
    first, *steps = found.chunks
    assert found.done
    assert first["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    opening = first["glyph"]
    assert (opening["index"], opening["token_ids"], opening["text_bytes"]) == (0, [], 0)
    assert (opening["epoch"], opening["mode"], opening["pages"]) == (worker.epoch, "always", 1)
    assert opening["characters"] == opening["characters_laid_out"] == 22
    index = text_bytes = 0
    for chunk in steps:
        glyph = chunk["glyph"]
        assert glyph.keys() == {"epoch", "index", "token_ids", "text_bytes", "fingerprint"}
        assert (glyph["epoch"], glyph["fingerprint"]) == (worker.epoch, opening["fingerprint"])
        assert glyph["index"] == index
        index += len(glyph["token_ids"])
        text_bytes += len(chunk["choices"][0]["delta"]["content"].encode())
        assert glyph["text_bytes"] == text_bytes
    assert index == COUNT
    assert [chunk["choices"][0]["finish_reason"] for chunk in steps] == [None] * (COUNT - 1) + [
        "length"
    ]
    assert [("usage" in chunk) for chunk in steps] == [False] * (COUNT - 1) + [True]
    assert steps[-1]["usage"]["completion_tokens"] == COUNT
    assert steps[-1]["usage"]["prompt_tokens_details"]["pages"] == 1


@pytest.mark.parametrize("stream", [False, True])
def test_it_is_the_same_whatever_stream_says(worker: WorkerProcess, stream: bool) -> None:
    async def scenario() -> Json:
        async with worker.client() as client:
            answer: Json = (await client.post(URL, json=body(max_tokens=9))).json()
            return answer

    (found,) = run(worker, body(max_tokens=9, stream=stream))
    assert found.done
    assert found.text == asyncio.run(scenario())["choices"][0]["message"]["content"]


@pytest.mark.parametrize(
    "keys",
    [
        {},
        {"temperature": 0.9, "seed": 5},
        {"temperature": 1.2, "top_k": 50, "top_p": 0.9, "seed": 8},
        {"repetition_penalty": 1.2, "frequency_penalty": 0.7, "logprobs": True},
        {
            "temperature": 1.3,
            "seed": 3,
            "min_p": 0.002,
            "repetition_penalty": 1.1,
            "presence_penalty": 1.0,
            "logit_bias": {"40": 3, "300": -100},
            "logprobs": True,
            "top_logprobs": 4,
        },
    ],
    ids=["greedy", "seeded", "seeded top", "penalties", "everything"],
)
def test_resuming_at_every_token_gives_the_same_answer(
    worker: WorkerProcess, keys: dict[str, object]
) -> None:
    """Ids and text; four at a time, so that resumed requests keep company with others."""
    request = paged(**keys)
    (whole,) = run(worker, request)
    fingerprint = whole.chunks[0]["glyph"]["fingerprint"]
    # The text delivered with so many tokens.
    delivered = [chunk["glyph"]["text_bytes"] for chunk in whole.chunks]

    async def scenario() -> list[Journal]:
        limit = asyncio.Semaphore(4)
        async with worker.client() as client:

            async def one(taken: int) -> Journal:
                ids, size = whole.token_ids[:taken], delivered[taken]
                async with limit:
                    again = resumed(request, ids, size, fingerprint=fingerprint)
                    return await journal(client, again)

            return await asyncio.gather(*(one(taken) for taken in range(COUNT + 1)))

    text = whole.text.encode()
    for taken, rest in enumerate(asyncio.run(scenario())):
        assert rest.done
        assert rest.chunks[0]["glyph"]["index"] == taken
        assert whole.token_ids[:taken] + rest.token_ids == whole.token_ids, taken
        assert text[: delivered[taken]] + rest.text.encode() == text, taken
        assert rest.finish_reason == whole.finish_reason
        assert rest.chunks[-1]["usage"] == whole.chunks[-1]["usage"]
        assert rest.chunks[-1]["glyph"]["text_bytes"] == len(text)
        assert_same_logprobs(rest.logprobs, whole.logprobs[taken:])
    assert len(whole.logprobs) == (COUNT if "logprobs" in keys else 0)


def assert_same_logprobs(found: list[Json], expected: list[Json]) -> None:
    """Tokens, their order, and their values but for rounding."""
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        ours = [one, *one["top_logprobs"]]
        theirs = [other, *other["top_logprobs"]]
        assert [(e["token"], e["bytes"]) for e in ours] == [
            (e["token"], e["bytes"]) for e in theirs
        ]
        assert [e["logprob"] for e in ours] == pytest.approx(
            [e["logprob"] for e in theirs], abs=1e-4
        )


def test_a_stop_token_ends_the_answer_wherever_it_is_cut(worker: WorkerProcess) -> None:
    (whole,) = run(worker, paged())
    place = next(n for n in range(5, COUNT) if whole.token_ids[n] not in whole.token_ids[:n])
    request = paged(stop_token_ids=[whole.token_ids[place]], logprobs=True)
    (stopped,) = run(worker, request)
    assert stopped.token_ids == whole.token_ids[: place + 1]
    assert (stopped.finish_reason, stopped.done) == ("stop", True)
    assert stopped.chunks[place + 1]["choices"][0]["delta"]["content"] == ""
    assert len(stopped.logprobs) == place + 1
    for taken in range(place + 2):
        size = stopped.chunks[taken]["glyph"]["text_bytes"]
        (rest,) = run(worker, resumed(request, stopped.token_ids[:taken], size))
        assert stopped.token_ids[:taken] + rest.token_ids == stopped.token_ids
        assert stopped.text.encode()[:size] + rest.text.encode() == stopped.text.encode()
        assert (rest.finish_reason, len(rest.logprobs)) == ("stop", place + 1 - taken)


def test_the_gateways_seed_is_the_clients(worker: WorkerProcess) -> None:
    seeded = body(max_tokens=20, temperature=1.0)
    with_seed, with_glyph_seed, other = run(
        worker,
        {**seeded, "seed": 77},
        {**seeded, "glyph": {"seed": 77}},
        {**seeded, "glyph": {"seed": 78}},
    )
    assert with_seed.token_ids == with_glyph_seed.token_ids != other.token_ids


def test_a_stop_string_is_found_across_the_cut(worker: WorkerProcess) -> None:
    """The text ends in the midst of a stop string when the worker is lost."""
    (whole,) = run(worker, body(max_tokens=COUNT))
    pieces = [chunk["choices"][0]["delta"]["content"] for chunk in whole.chunks[1:]]
    place = next(n for n in range(5, 30) if all(pieces[n : n + 3]))
    stop = pieces[place][-1] + pieces[place + 1] + pieces[place + 2][:1]
    request = body(max_tokens=COUNT, stop=[stop])
    (stopped,) = run(worker, request)
    assert stopped.finish_reason == "stop"
    assert stopped.text == whole.text[: whole.text.index(stop)]
    assert stop not in stopped.text
    for taken in range(len(stopped.token_ids) + 1):
        size = stopped.chunks[taken]["glyph"]["text_bytes"]
        (rest,) = run(worker, resumed(request, stopped.token_ids[:taken], size))
        assert stopped.text.encode()[:size] + rest.text.encode() == stopped.text.encode()
        assert stopped.token_ids[:taken] + rest.token_ids == stopped.token_ids
        assert (rest.finish_reason, rest.done) == ("stop", True)


def test_characters_of_several_tokens_survive_the_cut(worker: WorkerProcess) -> None:
    """A made-up beginning that ends inside a character of four bytes."""
    from inference.config import decode
    from inference.engine.tokenizer import load_tokenizer
    from inference.models import ensure_model
    from tests.process.worker_rig import model_cache

    config = decode({"model_cache_directory": str(model_cache())})
    ids = load_tokenizer(ensure_model(config)).encode("🦊")
    assert len(ids) > 1
    request = body(max_tokens=len(ids) + 3)
    (rest,) = run(worker, resumed(request, ids[:-1], 0))
    assert "\ufffd" not in rest.chunks[0]["choices"][0]["delta"]["content"]
    assert rest.chunks[1]["glyph"]["index"] == len(ids) - 1
    (done,) = run(worker, resumed(request, ids, 0))
    assert done.text.startswith("🦊")
    (known,) = run(worker, resumed(request, ids, len("🦊".encode())))
    assert done.text == "🦊" + known.text


def test_an_answer_that_had_ended_is_ended_at_once(worker: WorkerProcess) -> None:
    request = paged()
    (whole,) = run(worker, request)
    (again,) = run(worker, resumed(request, whole.token_ids, 3))
    assert len(again.chunks) == 2
    assert again.text.encode() == whole.text.encode()[3:]
    assert (again.finish_reason, again.done) == ("length", True)
    assert again.chunks[-1]["glyph"]["token_ids"] == []
    assert again.chunks[-1]["glyph"]["index"] == COUNT
    assert again.chunks[-1]["usage"] == whole.chunks[-1]["usage"]


def test_refusals_come_before_the_stream(worker: WorkerProcess) -> None:
    async def scenario() -> None:
        async with worker.client() as client:
            for glyph, status, code in [
                ({"fingerprint": "0" * 16}, 409, "fingerprint_mismatch"),
                ({"resume_text_bytes": 5}, 422, "invalid_request"),
                ({"resume_token_ids": [1] * 2000}, 422, "invalid_request"),
                ({"resume_token_ids": ["x"]}, 422, "invalid_request"),
                ({"unknown": 1}, 422, "invalid_request"),
            ]:
                response = await client.post(
                    URL, json={**body(), "glyph": glyph}, headers={"Glyph-Journal": "1"}
                )
                assert (response.status_code, response.json()["code"]) == (status, code)
                assert response.headers["content-type"] == "application/problem+json"
            plain = await client.post(URL, json={**body(), "glyph": {"resume_token_ids": [1]}})
            assert (plain.status_code, plain.json()["code"]) == (422, "unsupported")

    asyncio.run(scenario())


def test_the_first_chunk_comes_before_the_prompt_is_computed(worker: WorkerProcess) -> None:
    """With a slot but before the prefill: the gateway knows at once that the request was taken."""

    async def scenario() -> None:
        async with worker.client() as client:
            request = json.dumps(paged()).encode()
            headers = {"Glyph-Journal": "1"}
            async with client.stream("POST", URL, content=request, headers=headers) as response:
                lines = response.aiter_lines()
                first = json.loads((await anext(lines)).removeprefix("data: "))
                assert first["glyph"]["token_ids"] == []

    asyncio.run(scenario())


def test_leaving_a_stream_frees_the_slot(worker: WorkerProcess) -> None:
    async def scenario() -> None:
        async with worker.client() as client:
            request = body(max_tokens=1000)
            headers = {"Glyph-Journal": "1"}
            async with client.stream("POST", URL, json=request, headers=headers) as response:
                await anext(response.aiter_lines())
                assert (await worker.health())["slots"]["busy"] == 1
        while (await worker.health())["slots"]["busy"]:
            await asyncio.sleep(0.01)

    asyncio.run(asyncio.wait_for(scenario(), 30))


def test_out_of_vocabulary_ids_hurt_only_their_request(worker: WorkerProcess) -> None:
    """A journal that is damaged ends its own request and nothing else."""

    async def scenario() -> httpx.Response:
        async with worker.client() as client:
            return await client.post(
                URL, json=resumed(body(), [10**6], 0), headers={"Glyph-Journal": "1"}
            )

    with_error = asyncio.run(scenario())
    assert with_error.status_code == 422
    assert run(worker, body(max_tokens=3))[0].done
