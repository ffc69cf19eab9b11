"""Pictures, the articles' endpoints and the metrics, on a real worker and through the gateway."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Iterator

import httpx
import pytest

from tests.exposition import Series, parse
from tests.process import gateway_rig
from tests.process.worker_rig import Json, WorkerProcess, body, journal, running
from tests.unit.inference_picture.draw import encoded, noise, url

CHAT = "/v1/chat/completions"
PNG = encoded(noise(112, 140))
BROKEN = encoded(noise(300, 300), "JPEG")[:-4000]


@pytest.fixture(scope="module")
def worker() -> Iterator[WorkerProcess]:
    yield from running({"kv": {"slots": 4, "length": 8192}, "limits": {"image_pixels": 200_000}})


def image(address: str) -> Json:
    return {"type": "image_url", "image_url": {"url": address}}


def asking(*parts: Json, **keys: object) -> Json:
    content = [*parts, {"type": "text", "text": "What is it?"}]
    messages = [{"role": "user", "content": content}]
    return {**body(max_tokens=12), **keys, "messages": messages}


async def ask(client: httpx.AsyncClient, request: Json) -> Json:
    response = await client.post(CHAT, json=request)
    assert response.status_code == 200, response.text
    answer: Json = response.json()
    return answer


async def metrics(client: httpx.AsyncClient) -> Series:
    response = await client.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    return parse(response.text)


def text_of(answer: Json) -> str:
    text: str = answer["choices"][0]["message"]["content"]
    return text


def test_several_pictures_of_all_kinds_are_read(worker: WorkerProcess) -> None:
    async def scenario() -> None:
        jpeg, webp = encoded(noise(224, 112), "JPEG"), encoded(noise(56, 280), "WEBP")
        async with worker.client() as client:
            parts = [image(url(PNG)), image(url(jpeg, "jpeg")), image(url(webp, "webp"))]
            answer = await ask(client, asking(*parts))
            details = answer["usage"]["prompt_tokens_details"]
            assert (details["images"], details["pages"]) == (3, 0)
            assert details["visual_tokens"] == details["image_tokens"] == 20 + 32 + 20
            assert details["compression"] is None
            assert answer["glyph"]["images"] == 3
            text = text_of(answer)
            other = await ask(client, asking(parts[1], parts[0], parts[2]))
            assert text_of(other) != text, "the model does not see the order"
            resumed = await journal(client, asking(*parts))
            assert resumed.text == text
            glyph = {
                "resume_token_ids": resumed.token_ids[:5],
                "resume_text_bytes": 0,
                "fingerprint": resumed.chunks[0]["glyph"]["fingerprint"],
            }
            again = await journal(client, asking(*parts, glyph=glyph))
            assert again.text == text

    asyncio.run(scenario())


def test_bad_pictures_harm_nobody_beside_them(worker: WorkerProcess) -> None:
    bad = {
        "https://example.org/cat.png": "never fetched",
        "data:image/png;base64,aGk=": "no PNG, JPEG or WebP",
        url(BROKEN, "jpeg"): "broken",
        url(encoded(noise(500, 500))): "200000 are allowed",
    }

    async def scenario() -> None:
        async with worker.client() as client:
            good = asking(image(url(PNG)))
            alone = text_of(await ask(client, good))
            spoiled = [asking(image(url(PNG)), image(address)) for address in bad]
            both = [request for pair in zip(spoiled, [good] * 4, strict=True) for request in pair]
            answers = await asyncio.gather(*(client.post(CHAT, json=one) for one in both))
            for answer, reason in zip(answers[::2], bad.values(), strict=True):
                problem = answer.json()
                assert answer.status_code == 422
                assert problem["error"]["param"] == "messages[0].content[1].image_url.url"
                assert reason in problem["detail"]
            assert {text_of(answer.json()) for answer in answers[1::2]} == {alone}

    asyncio.run(scenario())


def test_the_articles_endpoints_and_their_counts(worker: WorkerProcess) -> None:
    async def scenario() -> None:
        async with worker.client() as client:
            before = await metrics(client)
            greedy = {"temperature": 0, "max_tokens": 9}
            infer = await client.post("/infer", json={"text": "In the beginning", **greedy})
            same = await ask(client, body(max_tokens=9))
            assert infer.json() == {"result": text_of(same)}
            picture = base64.encodebytes(PNG).decode()
            asked = {"image": picture, "prompt": "What is it?", **greedy}
            generated = await client.post("/api/v1/generate", json=asked)
            shown = await ask(client, asking(image(url(PNG))) | {"max_tokens": 9})
            assert generated.json() == {
                "result": text_of(shown),
                "text": text_of(shown),
                "finish_reason": "length",
                "usage": shown["usage"],
            }
            chat = await client.post("/v1/chat", json=body(max_tokens=9))
            assert chat.json()["result"] == text_of(same)
            refused = await client.post("/api/v1/generate", json={"prompt": "x", "image": "aGk="})
            assert refused.status_code == 422
            assert refused.json()["error"] == "image is no PNG, JPEG or WebP picture"
            assert (await client.post("/infer", json={})).status_code == 422
            after = await metrics(client)

        def grown(name: str) -> float:
            return after[name] - before.get(name, 0)

        assert grown('glyph_requests_total{outcome="completed"}') == 5
        assert grown('glyph_requests_total{outcome="invalid_request"}') == 2
        assert grown("glyph_completion_tokens_total") == 5 * 9
        assert grown('glyph_prompt_tokens_total{kind="visual"}') == 2 * 20
        assert grown("glyph_images_total") == grown("glyph_vision_seconds_count") == 2
        assert grown("glyph_prefill_seconds_count") >= 5
        assert grown('glyph_decode_seconds_bucket{le="+Inf"}') == 5 * 8
        assert grown("glyph_engine_steps_total") >= 5 * 9
        assert after["glyph_slots"] == 4
        assert sum(after[name] for name in after if name.startswith("glyph_engine_phase")) == 1

    asyncio.run(scenario())


def test_the_gateway_serves_them_too(worker: WorkerProcess) -> None:
    async def scenario() -> None:
        async with gateway_rig.rig() as made, made.client() as client:
            await made.start_gateway()
            row = gateway_rig.Worker(worker.socket, worker.epoch, worker.process)
            await made.route(row)
            picture = base64.b64encode(PNG).decode()
            asked = {"image": picture, "prompt": "What is it?", "max_tokens": 9, "temperature": 0}
            async with worker.client() as direct:
                expected = await direct.post("/api/v1/generate", json=asked)
            fronted = await client.post("/api/v1/generate", json=asked)
            assert (fronted.status_code, fronted.json()) == (200, expected.json())
            bad = {**asked, "image": "aGk="}
            refused = await client.post("/api/v1/generate", json=bad)
            message = "image is no PNG, JPEG or WebP picture"
            assert refused.status_code == 422
            assert refused.json() == {"error": message, "code": "invalid_request"}
            assert refused.headers["content-type"] == "application/json"

    asyncio.run(scenario())


def test_an_article_outlives_its_worker() -> None:
    async def scenario() -> None:
        async with gateway_rig.rig() as made, made.client() as client:
            await made.start_gateway()
            first = await made.start_worker(token_seconds=0.02)
            await made.route(first)
            body = {"text": "resume me", "max_tokens": 24, "seed": 7}
            asked = asyncio.create_task(client.post("/infer", json=body))
            await first.until(tokens=5)
            first.kill()
            await made.death(first)
            held = asyncio.create_task(client.post("/infer", json={**body, "text": "hold me"}))
            await made.until(waiting=2)
            await made.route(await made.start_worker())
            assert (await asked).json() == {"result": gateway_rig.expected("resume me", 24)}
            assert (await held).json() == {"result": gateway_rig.expected("hold me", 24)}
            refused = await client.post("/infer", json={"text": 5})
            assert (refused.status_code, refused.json()["code"]) == (422, "invalid_request")
            too_large = await client.post("/v1/chat", content=b" " * (17 * 2**20))
            assert (too_large.status_code, too_large.json()["code"]) == (413, "body_too_large")
            found = await metrics(client)
            assert found["glyph_gateway_requests_total"] == 4
            assert found["glyph_gateway_resumed_total"] == 1
            assert found["glyph_gateway_cut_total"] == 1
            assert found["glyph_gateway_completed_total"] == 2
            assert found["glyph_gateway_held_total"] == 2
            assert found['glyph_gateway_failed_total{code="invalid_request"}'] == 1
            assert found["glyph_gateway_longest_gap_seconds"] > 0
            assert found["glyph_gateway_in_flight_requests"] == 0

    asyncio.run(scenario())
