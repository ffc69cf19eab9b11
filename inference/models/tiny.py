"""The tiny model: an ordinary Glm4v checkpoint with 0.4 M untrained weights from a fixed seed.

It stands in until real weights are configured: the whole path runs, in seconds and on any machine,
but the answers mean nothing. Built without torch. The numbers come from NumPy's legacy generator,
whose stream is frozen by policy, through exact arithmetic only: the files are the same everywhere.

The scales are chosen so that greedy answers are lively rather than one token for ever: what
attention and MLP add (unit size, for they end in a norm) outweighs the token's own embedding, and
attention is sharp enough to notice positions.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors.numpy import save_file
from tokenizers import Tokenizer

from inference.models.vocabulary import FILES, TOKENIZER

_SEED = 20_251_020
_HIDDEN, _HEADS, _KV_HEADS, _HEAD_DIM, _MLP, _LAYERS = 64, 4, 2, 16, 128, 2
_VISION, _VISION_MLP, _VISION_DEPTH, _PATCH, _POSITIONS = 32, 64, 2, 14, 24 * 24
_END_TOKENS = ("<|endoftext|>", "<|user|>", "<|observation|>")
# Standard deviations; linear layers not named here keep the size of what they are given.
_EMBEDDING_STD = 0.5
_SHARPNESS = 2.0
_LOGIT_STD = 10.0
_END_SCALE = 0.83  # answers seldom end by themselves
_FRAGMENT_SCALE = 0.93  # parts of a character are rarer than whole ones

Weights = dict[str, npt.NDArray[np.float32]]


def write_checkpoint(directory: Path) -> None:
    """Write config, generation config, tokenizer, chat template and weights into `directory`."""
    tokenizer = Tokenizer.from_file(str(TOKENIZER))
    ends = [_token_id(tokenizer, token) for token in _END_TOKENS]
    vocabulary = tokenizer.get_vocab_size()
    _write_json(directory / "config.json", _model_config(tokenizer))
    _write_json(directory / "generation_config.json", _generation_config(tokenizer, ends))
    _write_json(directory / "tokenizer_config.json", _tokenizer_config())
    _write_json(directory / "preprocessor_config.json", _preprocessor_config())
    (directory / "tokenizer.json").write_bytes(TOKENIZER.read_bytes())
    weights = _Initialiser().weights(vocabulary)
    weights["lm_head.weight"] *= _preferences(tokenizer, ends)
    save_file(weights, directory / "model.safetensors", metadata={"format": "pt"})


class _Initialiser:
    """Draws tensors in a fixed order from one frozen stream."""

    def __init__(self) -> None:
        self._stream = np.random.RandomState(_SEED)

    def weights(self, vocabulary: int) -> Weights:
        language = "model.language_model"
        found: Weights = {
            "lm_head.weight": self._draw(_LOGIT_STD * _HIDDEN**-0.5, vocabulary, _HIDDEN),
            f"{language}.embed_tokens.weight": self._draw(_EMBEDDING_STD, vocabulary, _HIDDEN),
            f"{language}.norm.weight": _ones(_HIDDEN),
        }
        for layer in range(_LAYERS):
            found |= self._text_layer(f"{language}.layers.{layer}")
        for block in range(_VISION_DEPTH):
            found |= self._vision_block(f"model.visual.blocks.{block}")
        return found | self._vision_ends("model.visual")

    def _text_layer(self, name: str) -> Weights:
        norms = (
            "input_layernorm",
            "post_attention_layernorm",
            "post_mlp_layernorm",
            "post_self_attn_layernorm",
        )
        keys = _KV_HEADS * _HEAD_DIM
        return {
            **{f"{name}.{norm}.weight": _ones(_HIDDEN) for norm in norms},
            f"{name}.self_attn.q_proj.weight": self._linear(_HIDDEN, _HIDDEN, _SHARPNESS),
            f"{name}.self_attn.q_proj.bias": _zeros(_HIDDEN),
            f"{name}.self_attn.k_proj.weight": self._linear(keys, _HIDDEN, _SHARPNESS),
            f"{name}.self_attn.k_proj.bias": _zeros(keys),
            f"{name}.self_attn.v_proj.weight": self._linear(keys, _HIDDEN),
            f"{name}.self_attn.v_proj.bias": _zeros(keys),
            f"{name}.self_attn.o_proj.weight": self._linear(_HIDDEN, _HIDDEN),
            f"{name}.mlp.gate_up_proj.weight": self._linear(2 * _MLP, _HIDDEN),
            f"{name}.mlp.down_proj.weight": self._linear(_HIDDEN, _MLP),
        }

    def _vision_block(self, name: str) -> Weights:
        return {
            f"{name}.norm1.weight": _ones(_VISION),
            f"{name}.norm2.weight": _ones(_VISION),
            f"{name}.attn.qkv.weight": self._linear(3 * _VISION, _VISION),
            f"{name}.attn.proj.weight": self._linear(_VISION, _VISION),
            f"{name}.mlp.gate_proj.weight": self._linear(_VISION_MLP, _VISION),
            f"{name}.mlp.up_proj.weight": self._linear(_VISION_MLP, _VISION),
            f"{name}.mlp.down_proj.weight": self._linear(_VISION, _VISION_MLP),
        }

    def _vision_ends(self, name: str) -> Weights:
        patch = self._linear(_VISION, 3 * 2 * _PATCH * _PATCH)
        downsample = self._linear(_HIDDEN, _VISION * 2 * 2)
        return {
            f"{name}.patch_embed.proj.weight": patch.reshape(_VISION, 3, 2, _PATCH, _PATCH),
            f"{name}.patch_embed.proj.bias": _zeros(_VISION),
            f"{name}.embeddings.position_embedding.weight": self._draw(0.5, _POSITIONS, _VISION),
            f"{name}.post_conv_layernorm.weight": _ones(_VISION),
            f"{name}.post_layernorm.weight": _ones(_VISION),
            f"{name}.downsample.weight": downsample.reshape(_HIDDEN, _VISION, 2, 2),
            f"{name}.downsample.bias": _zeros(_HIDDEN),
            f"{name}.merger.proj.weight": self._linear(_HIDDEN, _HIDDEN),
            f"{name}.merger.post_projection_norm.weight": _ones(_HIDDEN),
            f"{name}.merger.post_projection_norm.bias": _zeros(_HIDDEN),
            f"{name}.merger.gate_proj.weight": self._linear(_HIDDEN, _HIDDEN),
            f"{name}.merger.up_proj.weight": self._linear(_HIDDEN, _HIDDEN),
            f"{name}.merger.down_proj.weight": self._linear(_HIDDEN, _HIDDEN),
        }

    def _linear(self, outputs: int, inputs: int, gain: float = 1.0) -> npt.NDArray[np.float32]:
        return self._draw(gain * inputs**-0.5, outputs, inputs)

    def _draw(self, std: float, *shape: int) -> npt.NDArray[np.float32]:
        # Uniform, not normal: no logarithm, whose last bit differs between C libraries.
        uniform = self._stream.random_sample(shape) * 2 - 1
        return (uniform * (std * 3**0.5)).astype(np.float32)


def _preferences(tokenizer: Tokenizer, ends: list[int]) -> npt.NDArray[np.float32]:
    """What each token's logit is multiplied with, as a column."""
    size = tokenizer.get_vocab_size()
    scales = np.ones((size, 1), np.float32)
    fragments = [token for token in range(size) if "\ufffd" in tokenizer.decode([token])]
    scales[fragments] = _FRAGMENT_SCALE
    scales[ends] = _END_SCALE
    return scales


def _ones(size: int) -> npt.NDArray[np.float32]:
    return np.ones(size, np.float32)


def _zeros(size: int) -> npt.NDArray[np.float32]:
    return np.zeros(size, np.float32)


def _model_config(tokenizer: Tokenizer) -> dict[str, object]:
    return {
        "architectures": ["Glm4vForConditionalGeneration"],
        "model_type": "glm4v",
        "dtype": "float32",
        "tie_word_embeddings": False,
        "image_token_id": _token_id(tokenizer, "<|image|>"),
        "image_start_token_id": _token_id(tokenizer, "<|begin_of_image|>"),
        "image_end_token_id": _token_id(tokenizer, "<|end_of_image|>"),
        "video_token_id": _token_id(tokenizer, "<|video|>"),
        "video_start_token_id": _token_id(tokenizer, "<|begin_of_video|>"),
        "video_end_token_id": _token_id(tokenizer, "<|end_of_video|>"),
        "text_config": _text_config(tokenizer.get_vocab_size(), _token_id(tokenizer, "<|pad|>")),
        "vision_config": _vision_config(),
    }


def _text_config(vocabulary: int, pad: int) -> dict[str, object]:
    return {
        "model_type": "glm4v_text",
        "vocab_size": vocabulary,
        "hidden_size": _HIDDEN,
        "intermediate_size": _MLP,
        "num_hidden_layers": _LAYERS,
        "num_attention_heads": _HEADS,
        "num_key_value_heads": _KV_HEADS,
        "max_position_embeddings": 32768,
        "rms_norm_eps": 1e-05,
        "pad_token_id": pad,
        # The sections share out the rotated half: head_dim 16 x 0.5 / 2 = 1 + 1 + 2.
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": 10000.0,
            "partial_rotary_factor": 0.5,
            "mrope_section": [1, 1, 2],
        },
    }


def _vision_config() -> dict[str, object]:
    return {
        "model_type": "glm4v_vision",
        "depth": _VISION_DEPTH,
        "hidden_size": _VISION,
        "intermediate_size": _VISION_MLP,
        "num_heads": 2,
        "in_channels": 3,
        "image_size": 336,
        "patch_size": _PATCH,
        "spatial_merge_size": 2,
        "temporal_patch_size": 2,
        "out_hidden_size": _HIDDEN,
        "rms_norm_eps": 1e-05,
    }


def _generation_config(tokenizer: Tokenizer, ends: list[int]) -> dict[str, object]:
    pad = _token_id(tokenizer, "<|pad|>")
    return {"do_sample": False, "eos_token_id": ends, "pad_token_id": pad}


def _token_id(tokenizer: Tokenizer, token: str) -> int:
    found = tokenizer.token_to_id(token)
    if found is None:
        raise ValueError(f"the vocabulary has no {token}")
    return int(found)


def _tokenizer_config() -> dict[str, object]:
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": 32768,
        "clean_up_tokenization_spaces": False,
        "eos_token": "<|endoftext|>",
        "pad_token": "<|pad|>",
        "chat_template": (FILES / "chat_template.jinja").read_text("utf-8"),
    }


def _preprocessor_config() -> dict[str, object]:
    """How pictures become numbers: the mean and deviation of CLIP, as in GLM-4.1V."""
    return {
        "image_processor_type": "Glm4vImageProcessor",
        "image_mean": [0.48145466, 0.4578275, 0.40821073],
        "image_std": [0.26862954, 0.26130258, 0.27577711],
        "patch_size": _PATCH,
        "temporal_patch_size": 2,
        "merge_size": 2,
    }


def _write_json(path: Path, value: dict[str, object]) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", "utf-8")
