"""The two streams: OpenAI's for clients, and the one with token ids for the gateway.

Either is complete only with a finish reason and `[DONE]`. After a failure the body is left
unfinished on purpose: a cleanly ended one would pass for success.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from inference.api.openai import DONE, Answer, event
from inference.batching.request import Progress
from inference.batching.service import Ticket


async def client_events(ticket: Ticket, answer: Answer, usage: bool) -> AsyncIterator[bytes]:
    """OpenAI's chat completion stream. Raises RequestError when the answer fails."""
    facts = answer.prepared.usage.facts.members()
    nothing_yet = {"usage": None} if usage else {}
    first = {"role": "assistant", "content": ""}
    yield event(answer.chunk(first, glyph=facts, **nothing_yet))
    async for step in ticket.progress():
        logprobs = answer.logprobs(step.token_ids, step.logprobs)
        if step.text or logprobs:
            yield event(answer.chunk({"content": step.text}, None, logprobs, **nothing_yet))
        if step.finish_reason is not None:
            yield event(answer.chunk({}, step.finish_reason, **nothing_yet))
            if usage:
                yield event(answer.usage_chunk(_tokens(step)))
    yield DONE


async def journal_events(ticket: Ticket, answer: Answer, epoch: str) -> AsyncIterator[bytes]:
    """The stream of docs/wire.md section 4. Raises RequestError when the answer fails."""
    prepared = answer.prepared
    identity = {"epoch": epoch, "fingerprint": prepared.fingerprint}
    begin = {
        **prepared.usage.facts.members(),
        **identity,
        "index": len(prepared.resumed_ids),
        "token_ids": [],
        "text_bytes": prepared.resumed_bytes,
    }
    yield event(answer.chunk({"role": "assistant", "content": ""}, glyph=begin))
    async for step in ticket.progress():
        glyph = {
            **identity,
            "index": step.index,
            "token_ids": list(step.token_ids),
            "text_bytes": step.text_bytes,
        }
        usage = {"usage": prepared.usage.members(_tokens(step))} if step.finish_reason else {}
        logprobs = answer.logprobs(step.token_ids, step.logprobs)
        delta = {"content": step.text}
        yield event(answer.chunk(delta, step.finish_reason, logprobs, glyph=glyph, **usage))
    yield DONE


def _tokens(last: Progress) -> int:
    """Tokens of the whole answer."""
    return last.index + len(last.token_ids)
