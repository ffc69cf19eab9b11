"""The network that is trained: the library's Glm4v, run in batches of equal pages.

Two things differ from the library's own forward pass, and neither changes what is computed: pages
of a batch go through the vision tower together, and the patch embedding takes one channel of ink
instead of three channels of two frames that are all the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional
from transformers import Glm4vConfig, Glm4vForConditionalGeneration
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
from transformers.models.glm4v.modeling_glm4v import (
    Glm4vVisionAttention,
    apply_rotary_pos_emb_vision,
)

from inference.models.train.grid import TOKENS_HIGH, TOKENS_WIDE
from inference.models.train.vocabulary import Vocabulary

# A patch is a whole visual token: four characters that nothing has to put together again. With
# GLM's 14 pixels and merging of 2 x 2 the tower would see four times as many patches, half of
# them empty.
PATCH_PX, MERGE, FRAMES = 28, 1, 1
INK_SCALE = 4.0
"""Ink 0..1 times this is what the patch embedding is given."""
HIDDEN, LAYERS, HEADS, KV_HEADS, MLP = 192, 3, 4, 2, 384
VISION_HIDDEN, VISION_DEPTH, VISION_HEADS, VISION_MLP = 192, 2, 4, 384
MATCH_LAYER = 1
"""The text layer whose attention is told where to look."""
_KEEPING = "sdpa_keeping_queries"


@dataclass(frozen=True, slots=True)
class Reading:
    """What the language model made of a batch."""

    hidden: torch.Tensor
    """(batch, length, HIDDEN)."""
    queries: torch.Tensor
    """(batch, heads, length, head size) of MATCH_LAYER, rotated."""
    keys: torch.Tensor
    """(batch, kv heads, length, head size) of MATCH_LAYER, rotated."""


class Network(nn.Module):
    """A Glm4v model with its single-channel patch embedding."""

    def __init__(self, config: Glm4vConfig) -> None:
        super().__init__()
        self.model = Glm4vForConditionalGeneration(config)
        self.model.set_attn_implementation(_register_keeping_attention())
        self.ink = nn.Linear(PATCH_PX**2, VISION_HIDDEN)
        # The library's 0.02 is meant for wide layers; in these, signals would die away.
        for module in self.model.modules():
            if isinstance(module, nn.Linear | nn.Conv2d) and module is not self.model.lm_head:
                nn.init.normal_(module.weight, std=module.weight[0].numel() ** -0.5)
        # Sublayers of GLM-4 add vectors of unit size: small embeddings would drown in them.
        nn.init.normal_(self.model.model.language_model.embed_tokens.weight, std=1.0)
        nn.init.normal_(self.model.model.visual.embeddings.position_embedding.weight, std=0.5)
        high, wide = torch.meshgrid(
            torch.arange(TOKENS_HIGH * MERGE), torch.arange(TOKENS_WIDE * MERGE), indexing="ij"
        )
        places = torch.stack([_merged_order(high), _merged_order(wide)], dim=-1)
        self._places: torch.Tensor
        self.register_buffer("_places", places, persistent=False)

    def see(self, pages: torch.Tensor) -> torch.Tensor:
        """Visual tokens (pages, tokens, HIDDEN) of ink (pages, height, width) uint8."""
        visual = self.model.model.visual
        state = self.ink(_patches(pages))
        state = visual.post_conv_layernorm(state) + self._page_positions()
        cos, sin = visual.rotary_pos_emb(state, self._places)
        for block in visual.blocks:
            state = state + _attend(block.attn, block.norm1(state), cos, sin)
            state = state + block.mlp(block.norm2(state))
        state = visual.post_layernorm(state)
        # A convolution whose stride is its kernel is a product with the flattened kernel.
        kernel = visual.downsample.weight.permute(0, 2, 3, 1).reshape(HIDDEN, -1)
        merged = state.view(len(pages), -1, MERGE**2 * VISION_HIDDEN)
        found: torch.Tensor = visual.merger(
            functional.linear(merged, kernel, visual.downsample.bias)
        )
        return found

    def read(self, embedded: torch.Tensor, positions: torch.Tensor) -> Reading:
        """Run the language model over (batch, length, HIDDEN) at positions (3, batch, length)."""
        _KEPT.clear()
        hidden = self.model.model.language_model(
            inputs_embeds=embedded, position_ids=positions, use_cache=False
        ).last_hidden_state
        queries, keys = _KEPT.pop()
        return Reading(hidden, queries, keys)

    def embed(self, ids: torch.Tensor) -> torch.Tensor:
        """Embeddings (batch, length, HIDDEN) of token ids."""
        found: torch.Tensor = self.model.model.language_model.embed_tokens(ids)
        return found

    def _page_positions(self) -> torch.Tensor:
        embeddings = self.model.model.visual.embeddings
        count = len(self._places)
        grid = torch.tensor([[1, TOKENS_HIGH * MERGE, TOKENS_WIDE * MERGE]])
        nothing = embeddings.position_embedding.weight.new_zeros(count, VISION_HIDDEN)
        found: torch.Tensor = embeddings(
            nothing, [count], grid.to(nothing.device), *self._places.unbind(-1)
        )
        return found


def model_config(vocabulary: Vocabulary) -> Glm4vConfig:
    """The configuration of the reader."""
    return Glm4vConfig(
        text_config={
            "vocab_size": vocabulary.size,
            "hidden_size": HIDDEN,
            "intermediate_size": MLP,
            "num_hidden_layers": LAYERS,
            "num_attention_heads": HEADS,
            "num_key_value_heads": KV_HEADS,
            "max_position_embeddings": 32768,
            "pad_token_id": vocabulary.id("<|pad|>"),
            # Fast turns only: what matters is near. 24 of the 48 dimensions of a head turn; the
            # sections are pairs for time (all the same within a page), height and width.
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 30.0,
                "partial_rotary_factor": 0.5,
                "mrope_section": [2, 5, 5],
            },
        },
        vision_config={
            "depth": VISION_DEPTH,
            "hidden_size": VISION_HIDDEN,
            "intermediate_size": VISION_MLP,
            "num_heads": VISION_HEADS,
            "out_hidden_size": HIDDEN,
            # As many position embeddings as the page is high: rows need no interpolation.
            "image_size": TOKENS_HIGH * MERGE * PATCH_PX,
            "patch_size": PATCH_PX,
            "spatial_merge_size": MERGE,
            "temporal_patch_size": FRAMES,
        },
        image_token_id=vocabulary.image,
        image_start_token_id=vocabulary.id("<|begin_of_image|>"),
        image_end_token_id=vocabulary.id("<|end_of_image|>"),
        video_token_id=vocabulary.id("<|video|>"),
        video_start_token_id=vocabulary.id("<|begin_of_video|>"),
        video_end_token_id=vocabulary.id("<|end_of_video|>"),
        tie_word_embeddings=False,
    )


def _patches(pages: torch.Tensor) -> torch.Tensor:
    """Patches (pages, count, 784) in the order in which the vision tower merges them."""
    count = len(pages)
    blocks = pages.view(count, TOKENS_HIGH, MERGE, PATCH_PX, TOKENS_WIDE, MERGE, PATCH_PX)
    ordered = blocks.permute(0, 1, 4, 2, 5, 3, 6).reshape(count, -1, PATCH_PX**2)
    return ordered.float() * (INK_SCALE / 255)


def _merged_order(grid: torch.Tensor) -> torch.Tensor:
    blocks = grid.view(TOKENS_HIGH, MERGE, TOKENS_WIDE, MERGE)
    return blocks.permute(0, 2, 1, 3).reshape(-1)


def _attend(
    attention: Glm4vVisionAttention, state: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor
) -> torch.Tensor:
    """Attention within each page; the library's takes one page at a time."""
    pages, length, _ = state.shape
    query, key, value = attention.qkv(state).view(pages * length, 3, VISION_HEADS, -1).unbind(1)
    cos, sin = cos.repeat(pages, 1), sin.repeat(pages, 1)
    query, key = apply_rotary_pos_emb_vision(query, key, cos, sin)
    parts = [
        part.view(pages, length, VISION_HEADS, -1).transpose(1, 2) for part in (query, key, value)
    ]
    seen = functional.scaled_dot_product_attention(*parts)
    found: torch.Tensor = attention.proj(seen.transpose(1, 2).reshape(pages, length, -1))
    return found


_KEPT: list[tuple[torch.Tensor, torch.Tensor]] = []


def _keeping(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    **options: object,
) -> tuple[torch.Tensor, None]:
    if getattr(module, "layer_idx", None) == MATCH_LAYER:
        _KEPT.append((query, key))
    attend: Callable[..., tuple[torch.Tensor, None]] = sdpa_attention_forward
    return attend(module, query, key, value, attention_mask, **options)


def _register_keeping_attention() -> str:
    """SDPA that hands out queries and keys, which the library's attention does not."""
    ALL_ATTENTION_FUNCTIONS.register(_KEEPING, _keeping)
    ALL_MASK_ATTENTION_FUNCTIONS.register(_KEEPING, ALL_MASK_ATTENTION_FUNCTIONS["sdpa"])
    return _KEEPING
