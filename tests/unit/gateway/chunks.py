"""Chunks of the internal stream for the unit tests."""

from supervisor.gateway.wire import Chunk, Json


def chunk(
    index: int = 0,
    ids: tuple[int, ...] = (),
    text: str = "",
    *,
    before: int = 0,
    epoch: str = "a",
    fingerprint: str = "f",
    finish_reason: str | None = None,
    logprobs: tuple[Json, ...] = (),
) -> Chunk:
    """`before`: bytes of text released before this chunk."""
    role = {"role": "assistant"} if not ids and not finish_reason else {}
    choice: Json = {"index": 0, "delta": {**role, "content": text}, "finish_reason": finish_reason}
    choice["logprobs"] = {"content": list(logprobs), "refusal": None} if logprobs else None
    return Chunk(
        epoch=epoch,
        index=index,
        token_ids=ids,
        text_bytes=before + len(text.encode()),
        fingerprint=fingerprint,
        text=text,
        finish_reason=finish_reason,
        usage={"total_tokens": index + len(ids)} if finish_reason else None,
        facts={"pages": 3} if role else {},
        body={"id": f"chatcmpl-{epoch}", "created": 5, "model": "m", "choices": [choice]},
        logprobs=logprobs,
    )
