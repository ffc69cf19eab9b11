"""How a request wants its tokens chosen, completed with what the model's makers recommend."""

from __future__ import annotations

from collections.abc import Iterable

from inference.batching.chat import ChatRequest
from inference.engine.values import EngineFacts, Sampling
from inference.errors import RequestError


def choose_sampling(chat: ChatRequest, facts: EngineFacts) -> Sampling:
    """What the engine is told. Raises RequestError for ids beyond the vocabulary."""
    check_ids(chat.stop_token_ids, "stop_token_ids", facts)
    check_ids((token_id for token_id, _ in chat.logit_bias), "logit_bias", facts)
    default = facts.default_sampling
    penalty = chat.repetition_penalty
    return Sampling(
        temperature=default.temperature if chat.temperature is None else chat.temperature,
        top_p=default.top_p if chat.top_p is None else chat.top_p,
        top_k=default.top_k if chat.top_k is None else chat.top_k,
        seed=chat.seed,
        min_p=default.min_p if chat.min_p is None else chat.min_p,
        repetition_penalty=default.repetition_penalty if penalty is None else penalty,
        frequency_penalty=chat.frequency_penalty,
        presence_penalty=chat.presence_penalty,
        logit_bias=chat.logit_bias,
        top_logprobs=chat.top_logprobs,
    )


def check_ids(token_ids: Iterable[int], param: str, facts: EngineFacts) -> None:
    """Refuse ids beyond the vocabulary: one would break a GPU's context for everybody."""
    if max(token_ids, default=0) >= facts.vocabulary:
        detail = f"token ids are below {facts.vocabulary}"
        raise RequestError("invalid_request", detail, param)
