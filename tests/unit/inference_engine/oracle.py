"""What the library's own `generate()` answers: the truth the slot engine is measured against."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import numpy as np
import torch
from transformers import LogitsProcessor, LogitsProcessorList

from inference.config import InferenceConfig, decode
from inference.engine.load import Checkpoint, load_checkpoint
from inference.engine.patches import level_table, patchify
from inference.engine.runner import SlotEngine
from inference.engine.tokenizer import (
    ChatTokenizer,
    ImagePart,
    TextPart,
    Turn,
    load_tokenizer,
)
from inference.engine.values import Logprobs, Pixels, Prompt, Sampling
from tests.unit.inference_engine.tiny import checkpoint

LENGTH = 512
CLOSE = 1e-4
"""Two best logits nearer than this may change places through rounding."""


@cache
def config(model_type: str = "glm4v") -> InferenceConfig:
    return decode(
        {
            "model": str(checkpoint(model_type)),
            "kv": {"slots": 4, "length": LENGTH},
            "max_new_tokens": 32,
            "max_new_tokens_limit": 256,
        }
    )


@cache
def loaded(model_type: str = "glm4v") -> Checkpoint:
    return load_checkpoint(checkpoint(model_type), config(model_type))


@cache
def tokenizer() -> ChatTokenizer:
    return load_tokenizer(checkpoint())


def engine(model_type: str = "glm4v", slots: int = 4) -> SlotEngine:
    return SlotEngine(loaded(model_type), slots, LENGTH, margins=True)


def pages(*sizes: tuple[int, int], seed: int = 0) -> list[Pixels]:
    """Pages of noise, (height, width) each."""
    source = np.random.default_rng(seed)
    return [source.integers(0, 256, (*size, 3), dtype=np.uint8) for size in sizes]


def prompt(text: str, pictures: Sequence[Pixels] = ()) -> Prompt:
    images = [ImagePart(page.shape[0] // 28, page.shape[1] // 28) for page in pictures]
    return tokenizer().encode_chat([Turn("user", (*images, TextPart(text)))])


def oracle(
    asked: Prompt,
    pictures: Sequence[Pixels],
    count: int,
    kind: str = "glm4v",
    processors: Sequence[LogitsProcessor] = (),
    **options: object,
) -> list[int]:
    """The first `count` tokens of generate(), greedy after `processors`, whatever they are."""
    ids = torch.tensor([asked.token_ids])
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    if pictures:
        types = torch.zeros_like(ids)
        for place in asked.images:
            types[0, place.start : place.start + place.tokens] = 1
        inputs["mm_token_type_ids"] = types
        inputs["pixel_values"] = torch.cat([patchify(page, level_table()) for page in pictures])
        grids = [[1, page.shape[0] // 14, page.shape[1] // 14] for page in pictures]
        inputs["image_grid_thw"] = torch.tensor(grids)
    with torch.inference_mode():
        out = loaded(kind).model.generate(
            **inputs,
            max_new_tokens=count,
            do_sample=False,
            eos_token_id=None,
            pad_token_id=0,
            logits_processor=LogitsProcessorList(processors),
            **options,
        )
    tokens: list[int] = out[0, ids.shape[1] :].tolist()
    return tokens


class Solo:
    """Runs requests on one engine, one slot each, and keeps the margins of what it drew."""

    def __init__(self, on: SlotEngine) -> None:
        self.engine = on
        self.margins: dict[int, list[float]] = {}
        self.answers: dict[int, list[int]] = {}
        self.logprobs: dict[int, list[Logprobs | None]] = {}

    def begin(
        self,
        slot: int,
        asked: Prompt,
        pictures: Sequence[Pixels] = (),
        sampling: Sampling | None = None,
        *,
        emitted: Sequence[int] = (),
        chunk: int = 10_000,
    ) -> None:
        self.engine.open(slot, asked, emitted, sampling or Sampling())
        for number, page in enumerate(pictures):
            self.engine.see(slot, number, page)
        token = None
        while token is None:
            token = self.engine.prefill(slot, chunk)
        self.answers[slot] = [token.token_id]
        self.margins[slot] = [token.margin or 0.0]
        self.logprobs[slot] = [token.logprobs]

    def step(self, *slots: int) -> None:
        for token in self.engine.decode(slots):
            assert token.valid
            self.answers[token.slot].append(token.token_id)
            self.margins[token.slot].append(token.margin or 0.0)
            self.logprobs[token.slot].append(token.logprobs)

    def end(self, slot: int) -> list[int]:
        self.engine.close(slot)
        del self.margins[slot]
        return self.answers.pop(slot)

    def answer(self, count: int, *args: object, **kwargs: object) -> list[int]:
        self.begin(0, *args, **kwargs)  # type: ignore[arg-type]
        for _ in range(count - 1):
            self.step(0)
        return self.end(0)


def differs(left: Sequence[int], right: Sequence[int], margins: Sequence[float]) -> bool:
    """Whether two answers part at a token that was not a tie (`margins` are those of `left`)."""
    for place, (one, other) in enumerate(zip(left, right, strict=True)):
        if one != other:
            return margins[place] >= CLOSE
    return False
