"""POST /v1/render over ASGI: pages without a model."""

from __future__ import annotations

import base64

import httpx

from inference.api.worker import Status
from inference.config import InferenceConfig, LimitsConfig
from tests.unit.inference_api.test_endpoints import App, run

PNG = b"\x89PNG\r\n\x1a\n"


async def post(app: App, body: object, accept: str = "application/json") -> httpx.Response:
    async with app.client() as client:
        return await client.post("/v1/render", json=body, headers={"accept": accept})


def test_json_says_what_drawing_gives_and_names_missing_characters() -> None:
    async def scenario(app: App) -> None:
        app.worker.ready, app.worker.stage = None, Status.LOADING  # no model is needed
        answer = await post(app, {"text": "a\ue000b\nc"})
        assert answer.status_code == 200
        assert answer.json() == {
            "object": "render",
            "profile": "glyph-en",
            "pages": [{"width": 588, "height": 840}],
            "visual_tokens": 630,
            "lines": 2,
            "characters": 5,
            "characters_laid_out": 5,
            "missing_glyphs": 1,
            "missing_characters": ["U+E000"],
            "missing_families": [],
        }

    run(scenario)


def test_images_come_with_the_json_and_pages_as_png() -> None:
    async def scenario(app: App) -> None:
        text = "word\n" * 100
        body = (await post(app, {"text": text, "images": True, "profile": "glyph-zh"})).json()
        assert len(body["pages"]) == len(body["images"]) == 2
        assert sum(image["characters"] for image in body["images"]) == len(text)
        second = body["images"][1]["url"].removeprefix("data:image/png;base64,")
        answer = await post(app, {"text": text, "page": 2, "profile": "glyph-zh"}, "image/png")
        assert answer.headers["content-type"] == "image/png"
        assert answer.content == base64.b64decode(second)
        assert answer.content.startswith(PNG)

    run(scenario)


def test_half_a_surrogate_pair_is_drawn_as_the_replacement_character() -> None:
    async def scenario(app: App) -> None:
        async with app.client() as client:
            answer = await client.post("/v1/render", content=b'{"text": "a\\ud800b"}')
        assert answer.status_code == 200
        assert answer.json()["characters_laid_out"] == 3

    run(scenario)


def test_refusals() -> None:
    async def scenario(app: App) -> None:
        for body, param in (
            ({}, "text"),
            ({"text": 3}, "text"),
            ({"text": "a", "profile": "none"}, "profile"),
            ({"text": "a", "dpi": 7}, "dpi"),
            ({"text": "a", "dpi": 7.5}, "dpi"),
            ({"text": "a", "page": 0}, "page"),
            ({"text": "a", "images": 1}, "images"),
            ({"text": "a", "imagse": True}, "imagse"),
        ):
            answer = await post(app, body)
            assert (answer.status_code, answer.json()["error"]["param"]) == (422, param)
        answer = await post(app, {"text": "a", "page": 2}, "image/png")
        assert (answer.status_code, answer.json()["error"]["param"]) == (422, "page")

    run(scenario)


def test_limits_are_held_before_drawing() -> None:
    async def scenario(app: App) -> None:
        limits = LimitsConfig(characters=1000, pages=2)
        app.worker.config = InferenceConfig(limits=limits)
        for text in ("a" * 1001, "a\n" * 200):
            answer = await post(app, {"text": text, "images": True})
            assert answer.status_code == 413
            assert answer.json()["code"] == "context_length_exceeded"

    run(scenario)
