"""The supervisor's own first request to a new generation, and the check of its answer."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx

from supervisor.probes.client import open_client

_ANSWER_CHUNKS = 10_000


class BadAnswerError(Exception):
    """The answer is incomplete, out of order, or somebody else's; the message says how."""


@dataclass(frozen=True, slots=True)
class WarmUpReading:
    """A complete answer, or why there is none (`problem`)."""

    problem: str = ""
    text: str = ""
    fingerprint: str = ""
    tokens: int = 0


async def warm_up(socket: Path, epoch: str, term: int, timeout_seconds: float) -> WarmUpReading:
    """Ask for the canary, send it as a journal stream and check the stream; never raises."""
    try:
        async with asyncio.timeout(timeout_seconds), open_client(socket, term) as client:
            canary = (await client.get("/control/canary")).raise_for_status().json()
            request = client.stream(
                "POST",
                "/v1/chat/completions",
                json=canary["request"],
                headers={"Glyph-Journal": "1"},
            )
            async with request as answer:
                if answer.status_code != 200:
                    return WarmUpReading(f"the warm-up request was answered {answer.status_code}")
                return await check_stream(answer.aiter_lines(), epoch)
    except TimeoutError:
        return WarmUpReading(f"no complete answer within {timeout_seconds:g} s")
    except (httpx.HTTPError, BadAnswerError) as error:
        return WarmUpReading(str(error) or type(error).__name__)
    except (KeyError, TypeError, ValueError) as error:
        return WarmUpReading(f"the answer has not the agreed shape: {error!r}")


async def check_stream(lines: AsyncIterator[str], epoch: str) -> WarmUpReading:
    """Check epoch, order and end of a journal stream (docs/wire.md, section 4); BadAnswerError says
    what is wrong.
    """
    text, fingerprint, finish, tokens, chunks = "", "", "", 0, 0
    async for line in lines:
        if not line.startswith("data:"):
            continue
        payload = line[5:].strip()
        if payload == "[DONE]":
            break
        chunks += 1
        if chunks > _ANSWER_CHUNKS or finish:
            raise BadAnswerError("the stream goes on after its end")
        chunk = json.loads(payload)
        if "error" in chunk:
            raise BadAnswerError(f"error event: {chunk['error'].get('message')}")
        mark, choice = chunk["glyph"], chunk["choices"][0]
        if mark["epoch"] != epoch:
            raise BadAnswerError(f"answered by epoch {mark['epoch']}")
        if mark["index"] != tokens:
            raise BadAnswerError(f"token index {mark['index']} where {tokens} was due")
        tokens += len(mark["token_ids"])
        fingerprint = mark.get("fingerprint") or fingerprint
        text += choice["delta"].get("content") or ""
        finish = choice.get("finish_reason") or ""
    else:
        raise BadAnswerError("the stream ended without [DONE]")
    if finish not in ("stop", "length"):
        raise BadAnswerError(f"the stream ended with finish_reason {finish!r}")
    if tokens == 0:
        raise BadAnswerError("the answer has no token")
    return WarmUpReading(text=text, fingerprint=fingerprint, tokens=tokens)
