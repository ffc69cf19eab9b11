"""POST /v1/render: the pages a text would be drawn to, without the model.

Body: `{"text", "profile", "dpi", "images": false, "page": 1}`, all but `text` optional. With
`Accept: image/png` the answer is that one page as PNG; else it is JSON with what drawing the text
gives, and with `images` every page as a PNG data URL, sent while the next one is drawn.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from inference.api.chat import read_body
from inference.api.schema import parse_object
from inference.api.worker import Worker
from inference.config import PAGE_UNIT_PX, InferenceConfig
from inference.errors import RequestError
from inference.render import (
    Page,
    PagePlan,
    Style,
    StyleError,
    character_names,
    encode_png,
    missing_families,
    plan_pages,
    render_pages,
    resolve_style,
)

_AT_ONCE = 2
_FIELDS = frozenset({"text", "profile", "dpi", "images", "page"})


@dataclass(frozen=True, slots=True)
class _Asked:
    text: str
    profile: str
    style: Style
    images: bool
    page: int


class RenderEndpoint:
    """Draws in threads, a page at a time; at most two texts at once."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._turn = asyncio.Semaphore(_AT_ONCE)

    async def answer(self, request: Request) -> Response:
        """The response to one request. Raises RequestError, ClientDisconnect."""
        config = self._worker.config
        body = parse_object(await read_body(request, config.limits.body_bytes))
        asked = _parse(body, config)
        async with self._turn:
            plan = await asyncio.to_thread(plan_pages, asked.text, asked.style)
        if plan.pages > (limit := config.limits.pages):
            detail = f"the text fills {plan.pages} pages; the limit is {limit}"
            raise RequestError("context_length_exceeded", detail, "text")
        if "image/png" in request.headers.get("accept", ""):
            if asked.page > plan.pages:
                detail = f"there are {plan.pages} pages"
                raise RequestError("invalid_request", detail, "page")
            async with self._turn:
                png = await asyncio.to_thread(_one_page, asked)
            return Response(png, media_type="image/png")
        facts = _facts(asked, plan)
        if not asked.images:
            return JSONResponse(facts)
        return StreamingResponse(self._with_images(asked, facts), media_type="application/json")

    async def _with_images(self, asked: _Asked, facts: Mapping[str, object]) -> AsyncIterator[str]:
        """The facts as JSON with a last member `images`, page by page."""
        yield json.dumps(facts, ensure_ascii=False)[:-1] + ', "images": ['
        pages = render_pages(asked.text, asked.style)
        separator = ""
        while True:
            async with self._turn:
                image = await asyncio.to_thread(_next_image, pages)
            if image is None:
                break
            yield separator + json.dumps(image)
            separator = ", "
        yield "]}"


def _parse(body: Mapping[str, object], config: InferenceConfig) -> _Asked:
    for name in body:
        if name not in _FIELDS:
            raise RequestError("invalid_request", f"there is no {name}", name)
    text = body.get("text")
    if not isinstance(text, str):
        raise RequestError("invalid_request", "text must be a string", "text")
    if len(text) > (limit := config.limits.characters):
        detail = f"the text has {len(text)} characters; the limit is {limit}"
        raise RequestError("context_length_exceeded", detail, "text")
    profile = body.get("profile") or config.render.default_profile
    if not isinstance(profile, str) or profile not in config.render.profiles:
        known = ", ".join(sorted(config.render.profiles))
        detail = f"there is no profile {profile!r}; there are: {known}"
        raise RequestError("invalid_request", detail, "profile")
    dpi, page, images = body.get("dpi"), body.get("page", 1), body.get("images", False)
    if dpi is not None and type(dpi) is not int:
        raise RequestError("invalid_request", "dpi must be a whole number", "dpi")
    if type(page) is not int or page < 1:
        raise RequestError("invalid_request", "page must be a whole number from 1", "page")
    if type(images) is not bool:
        raise RequestError("invalid_request", "images must be true or false", "images")
    try:
        style = resolve_style(config.render.profiles[profile], dpi)
    except StyleError as error:
        raise RequestError("invalid_request", str(error), "dpi") from error
    return _Asked(text, profile, style, images, page)


def _facts(asked: _Asked, plan: PagePlan) -> dict[str, object]:
    return {
        "object": "render",
        "profile": asked.profile,
        "pages": [{"width": width, "height": height} for width, height in plan.sizes],
        "visual_tokens": sum(w * h for w, h in plan.sizes) // PAGE_UNIT_PX**2,
        "lines": plan.lines,
        "characters": len(asked.text),
        "characters_laid_out": plan.characters,
        "missing_glyphs": plan.missing_glyphs,
        "missing_characters": character_names(plan.missing_characters),
        "missing_families": list(missing_families(asked.style.font_families)),
    }


def _one_page(asked: _Asked) -> bytes:
    for number, page in enumerate(render_pages(asked.text, asked.style), 1):
        if number == asked.page:
            return encode_png(page.pixels)
    raise AssertionError("the plan has this page")


def _next_image(pages: Iterator[Page]) -> dict[str, object] | None:
    page = next(pages, None)
    if page is None:
        return None
    png = base64.b64encode(encode_png(page.pixels)).decode()
    return {
        "url": f"data:image/png;base64,{png}",
        "first_character": page.first_character,
        "characters": page.characters,
        "missing_glyphs": page.missing_glyphs,
    }
