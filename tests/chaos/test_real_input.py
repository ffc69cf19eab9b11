"""Two real books through the whole product: no character is lost, usage tells what it cost."""

import json
from typing import Any

import httpx
import pytest

from tests.chaos.product import running
from tests.chaos.texts import CHINESE, ENGLISH


def ask(url: str, text: str) -> tuple[str, dict[str, Any], str | None, bool]:
    """Stream the answer to a document drawn as pages: text, usage, finish reason, `[DONE]` seen."""
    body = {
        "messages": [{"role": "user", "content": [{"type": "text", "text": text}]}],
        "glyph": {"mode": "always"},
        "max_tokens": 48,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    answer, finish, done, pieces = "", None, False, 0
    usage: dict[str, Any] = {}
    with httpx.stream("POST", f"{url}/v1/chat/completions", json=body, timeout=120) as response:
        assert response.status_code == 200, response.read()
        assert response.headers["content-type"].startswith("text/event-stream")
        for line in response.iter_lines():
            if line == "data: [DONE]":
                done = True
            elif line.startswith("data: "):
                event = json.loads(line.removeprefix("data: "))
                usage = event.get("usage") or usage
                for choice in event["choices"]:
                    pieces += 1
                    answer += choice["delta"].get("content") or ""
                    finish = choice["finish_reason"] or finish
    assert pieces > 8, "the answer came in pieces"
    return answer, usage, finish, done


@pytest.mark.timeout(180)
def test_books_are_read_as_pages() -> None:
    with running() as product:
        url = product.url()
        for text in (ENGLISH, CHINESE):
            assert len(text) >= 20_000
            answer, usage, finish, done = ask(url, text)
            details = usage["prompt_tokens_details"]
            assert answer
            assert finish in ("stop", "length")
            assert done
            assert details["characters"] == len(text)
            assert details["characters_laid_out"] == len(text)
            assert details["missing_glyphs"] == 0
            assert details["pages"] >= 2
            assert details["visual_tokens"] >= details["pages"]
            assert details["compression"] > 0
            print(details)
