"""Glm4v and Glm46V over KV slots: vision page by page, prefill in chunks, one decode for all slots.

Positions are always given to the model explicitly: its own `rope_deltas` is one mutable value for
all requests. Every decode step computes all slots, running or not, so that the shapes (and with
them the rounding) of a request's tokens do not depend on its company.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ParamSpec, TypeVar

import numpy as np
import numpy.typing as npt
import torch

from inference.config import InferenceConfig
from inference.engine.cache import SlotCache, bucket_length
from inference.engine.load import Checkpoint, load_checkpoint
from inference.engine.patches import level_table, patchify
from inference.engine.positions import rope_positions
from inference.engine.sampling import Shaper, choose, measure
from inference.engine.values import (
    DeviceLostError,
    EngineError,
    EngineFacts,
    ImagePlace,
    Logprobs,
    MemoryUse,
    OutOfMemoryError,
    Pixels,
    Prompt,
    Sampling,
    Token,
)

_P = ParamSpec("_P")
_R = TypeVar("_R")


def _guarded(call: Callable[_P, _R]) -> Callable[_P, _R]:
    """Run without autograd and turn torch's exceptions into the engine's three kinds."""

    def guarded(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        try:
            with torch.inference_mode():
                return call(*args, **kwargs)
        except (torch.OutOfMemoryError, MemoryError) as error:
            reason = str(error)
            kind: type[EngineError] = OutOfMemoryError
        except torch.AcceleratorError as error:
            raise DeviceLostError(str(error)) from error
        except (RuntimeError, ValueError, IndexError) as error:
            # On the CPU a failed allocation is a plain RuntimeError of the allocator.
            kind = OutOfMemoryError if "DefaultCPUAllocator" in str(error) else EngineError
            reason = str(error)
        # Raised outside the handlers: a traceback in flight would keep the tensors alive.
        raise kind(reason)

    return guarded


@dataclass(slots=True)
class _Slot:
    """One open request."""

    ids: torch.Tensor
    positions: torch.Tensor
    delta: int
    images: tuple[ImagePlace, ...]
    sampling: Sampling
    drawn: int
    """Index in the answer of the next token to draw."""
    shaper: Shaper | None
    """Only where bias or penalties change the logits."""
    seen: dict[int, torch.Tensor] = field(default_factory=dict)
    filled: int = 0
    last: int = 0

    @property
    def plain(self) -> bool:
        """The likeliest token is taken and nothing more is asked."""
        told = self.sampling
        return told.temperature == 0 and self.shaper is None and told.top_logprobs is None

    def pick(self, logits: npt.NDArray[np.float32]) -> tuple[int, Logprobs | None]:
        """The next token from logits (vocabulary,), and how likely it was, if that is asked."""
        shaper, told = self.shaper, self.sampling
        chosen = choose(logits if shaper is None else shaper.shape(logits), told, self.drawn)
        if shaper is not None:
            shaper.note(chosen)
        if told.top_logprobs is None:
            return chosen, None
        return chosen, measure(logits, chosen, told.top_logprobs)


class SlotEngine:
    """Implements `values.Engine` on transformers' model classes."""

    def __init__(
        self, checkpoint: Checkpoint, slots: int, length: int, margins: bool = False
    ) -> None:
        """Take the memory for `slots` x `length` tokens; `margins` measures each token's."""
        model = checkpoint.model
        text, vision = model.config.text_config, model.config.vision_config
        length = min(length, int(text.max_position_embeddings))
        self._vision, self._language = model.model.visual, model.model.language_model
        self._head = model.lm_head
        self._patch, self._merge = int(vision.patch_size), int(vision.spatial_merge_size)
        self._frames = int(vision.temporal_patch_size)
        self._device, self._dtype = model.device, model.dtype
        self._table = level_table(checkpoint.image_mean, checkpoint.image_std).to(self._device)
        head_size = int(text.hidden_size) // int(text.num_attention_heads)
        shape = (slots, int(text.num_key_value_heads), length + 1, head_size)
        self._cache = SlotCache(int(text.num_hidden_layers), shape, self._dtype, self._device)
        self._columns = torch.arange(length + 1, device=self._device)
        self._open: dict[int, _Slot] = {}
        self._margins = margins
        self._weight_bytes = sum(weight.nbytes for weight in model.parameters())
        self.facts = EngineFacts(
            model=checkpoint.name,
            fingerprint=checkpoint.fingerprint,
            slots=slots,
            length=length,
            vocabulary=int(text.vocab_size),
            end_ids=checkpoint.end_ids,
            default_sampling=checkpoint.default_sampling,
            image_area=checkpoint.image_area,
        )

    @_guarded
    def open(self, slot: int, prompt: Prompt, emitted: Sequence[int], sampling: Sampling) -> None:
        """See Engine.open."""
        if slot in self._open:
            raise ValueError(f"slot {slot} is in use")
        ids = np.array([*prompt.token_ids, *emitted], dtype=np.int64)
        positions, delta = rope_positions(len(ids), prompt.images)
        self._open[slot] = _Slot(
            ids=torch.from_numpy(ids).to(self._device),
            positions=torch.from_numpy(positions).to(self._device),
            delta=delta,
            images=prompt.images,
            sampling=sampling,
            drawn=len(emitted),
            shaper=(
                Shaper(sampling, prompt.token_ids, emitted, self.facts.vocabulary)
                if sampling.shaped
                else None
            ),
        )

    @_guarded
    def see(self, slot: int, image: int, pixels: Pixels) -> None:
        """See Engine.see."""
        state = self._open[slot]
        patches = patchify(pixels, self._table, self._patch, self._merge, self._frames)
        height, width = pixels.shape[0] // self._patch, pixels.shape[1] // self._patch
        grid = torch.tensor([[1, height, width]], device=self._device)
        output = self._vision(patches.to(self._dtype), grid_thw=grid, return_dict=True)
        embedding = output.pooler_output
        if len(embedding) != state.images[image].tokens:
            raise ValueError(f"image {image} gave {len(embedding)} tokens")
        state.seen[image] = embedding

    @_guarded
    def prefill(self, slot: int, count: int) -> Token | None:
        """See Engine.prefill."""
        state = self._open[slot]
        start, total = state.filled, len(state.ids)
        end = min(total, start + count)
        embedded = self._embed(state, start, end)
        self._cache.prefilling(slot, start)
        mask = self._columns[:end] <= self._columns[start:end, None]
        hidden = self._language(
            inputs_embeds=embedded[None],
            position_ids=state.positions[:, None, start:end],
            attention_mask=mask[None, None],
            past_key_values=self._cache,
            use_cache=True,
        ).last_hidden_state
        state.filled = end
        if end < total:
            return None
        state.seen.clear()
        return self._draw([slot], self._head(hidden[:, -1]))[0]

    def _embed(self, state: _Slot, start: int, end: int) -> torch.Tensor:
        """Embeddings of the tokens start..end, images in their places."""
        embedded: torch.Tensor = self._language.embed_tokens(state.ids[start:end])
        for number, place in enumerate(state.images):
            first, last = max(start, place.start), min(end, place.start + place.tokens)
            if first < last:
                seen = state.seen[number][first - place.start : last - place.start]
                embedded[first - start : last - start] = seen.to(embedded.dtype)
        return embedded

    @_guarded
    def decode(self, slots: Sequence[int]) -> list[Token]:
        """See Engine.decode."""
        count, scratch = self.facts.slots, self.facts.length
        host = np.zeros((3, count), dtype=np.int64)
        host[1] = scratch
        for slot in slots:
            state = self._open[slot]
            if state.filled >= scratch:
                raise ValueError(f"slot {slot} is full")
            host[:, slot] = state.last, state.filled, state.filled + state.delta
        longest = max(self._open[slot].filled for slot in slots) + 1
        ids, columns, positions = torch.from_numpy(host).to(self._device).unbind(0)
        extent = bucket_length(longest, scratch)
        self._cache.decoding(columns, extent)
        mask = self._columns[:extent] <= columns[:, None]
        hidden = self._step(ids[:, None], positions[None, :, None].expand(3, -1, -1), mask)
        for slot in slots:
            self._open[slot].filled += 1
        logits = self._head(hidden[:, 0])
        return self._draw(slots, logits[list(slots)])

    def _step(self, ids: torch.Tensor, positions: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        """Hidden states (slots, 1, size): the model's own layers without what it wraps them in.

        Of a small model's step that would be a tenth: masks made anew, outputs looked for to keep.
        """
        language = self._language
        hidden: torch.Tensor = language.embed_tokens(ids)
        rotation = language.rotary_emb(hidden, position_ids=positions)
        for layer in language.layers:
            hidden = layer(
                hidden,
                attention_mask=mask[:, None, None],
                past_key_values=self._cache,
                position_embeddings=rotation,
            )
        return language.norm(hidden)  # type: ignore[no-any-return]

    def _draw(self, slots: Sequence[int], logits: torch.Tensor) -> list[Token]:
        """One token per row of logits (slots, vocabulary)."""
        logits = logits.float()
        best, ids = logits.topk(2, dim=-1) if self._margins else logits.max(dim=-1, keepdim=True)
        finite = torch.isfinite(best[:, 0]).tolist()
        chosen: list[int] = ids[:, 0].tolist()
        margins = (best[:, 0] - best[:, 1]).tolist() if self._margins else [None] * len(slots)
        tokens = []
        for row, slot in enumerate(slots):
            state = self._open[slot]
            logprobs = None
            if finite[row] and not state.plain:
                chosen[row], logprobs = state.pick(logits[row].cpu().numpy())
            state.drawn += 1
            state.last = chosen[row]
            tokens.append(Token(slot, chosen[row], margins[row], finite[row], logprobs))
        return tokens

    @_guarded
    def close(self, slot: int) -> None:
        """See Engine.close."""
        state = self._open.pop(slot, None)
        if state is not None:
            self._cache.wipe(slot, max(state.filled, len(state.ids)))

    def reclaim(self) -> None:
        """See Engine.reclaim."""
        gc.collect()
        if self._device.type == "cuda":
            torch.cuda.empty_cache()

    def memory(self) -> MemoryUse:
        """See Engine.memory."""
        counters = {"kv_bytes": self._cache.size_bytes, "weight_bytes": self._weight_bytes}
        if self._device.type != "cuda":
            return MemoryUse(None, counters)
        counters["allocated_bytes"] = torch.cuda.memory_allocated(self._device)
        counters["reserved_bytes"] = torch.cuda.memory_reserved(self._device)
        return MemoryUse(counters["reserved_bytes"], counters)


def load_engine(directory: Path, config: InferenceConfig) -> SlotEngine:
    """The engine for a configuration; must be called on the thread that will use it."""
    checkpoint = load_checkpoint(directory, config)
    return SlotEngine(checkpoint, config.active_slots, config.kv.length)
