"""A trained network as an ordinary checkpoint directory.

The patch embedding was trained on ink, 0 for white and INK_SCALE for black. The checkpoint's image
mean of 1 and deviation of 1 / INK_SCALE turn pixels into just that with the sign changed, in every
channel: the weights are negated and shared out over the channels, which changes nothing.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors.torch import save_file

from inference.models.train.network import FRAMES, INK_SCALE, MERGE, PATCH_PX, Network
from inference.models.train.vocabulary import CHAT_TEMPLATE, END_TOKENS, Vocabulary

_CHANNELS = 3


def export(network: Network, vocabulary: Vocabulary, directory: Path) -> None:
    """Write configuration, tokenizer with chat template and float32 weights into `directory`."""
    directory.mkdir(parents=True, exist_ok=True)
    ends = [vocabulary.id(token) for token in END_TOKENS]
    described = network.model.config.to_diff_dict()
    described |= {"architectures": ["Glm4vForConditionalGeneration"], "dtype": "float32"}
    pad = vocabulary.id("<|pad|>")
    files: dict[str, dict[str, object]] = {
        "config.json": _without_private(described),
        "generation_config.json": {"do_sample": False, "eos_token_id": ends, "pad_token_id": pad},
        "tokenizer_config.json": {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "model_max_length": 32768,
            "clean_up_tokenization_spaces": False,
            "eos_token": END_TOKENS[0],
            "pad_token": "<|pad|>",
            "chat_template": CHAT_TEMPLATE,
        },
        "preprocessor_config.json": {
            "image_processor_type": "Glm4vImageProcessor",
            "image_mean": [1.0] * _CHANNELS,
            "image_std": [1 / INK_SCALE] * _CHANNELS,
            "patch_size": PATCH_PX,
            "temporal_patch_size": FRAMES,
            "merge_size": MERGE,
        },
    }
    for name, content in files.items():
        text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
        (directory / name).write_text(text, "utf-8")
    (directory / "tokenizer.json").write_text(
        vocabulary.tokenizer.to_str(pretty=True) + "\n", "utf-8"
    )
    save_file(weights(network), directory / "model.safetensors", metadata={"format": "pt"})


def weights(network: Network) -> dict[str, torch.Tensor]:
    """The model's tensors, its patch embedding made from the single-channel one."""
    found = {
        name: tensor.detach().cpu().float().contiguous().clone()
        for name, tensor in network.model.state_dict().items()
    }
    ink = network.ink.weight.detach().cpu().float().view(-1, 1, 1, PATCH_PX, PATCH_PX)
    share = -ink / (_CHANNELS * FRAMES)
    found["model.visual.patch_embed.proj.weight"] = share.repeat(1, _CHANNELS, FRAMES, 1, 1)
    found["model.visual.patch_embed.proj.bias"] = network.ink.bias.detach().cpu().float().clone()
    return found


def _without_private(described: dict[str, object]) -> dict[str, object]:
    """Without what belongs to the running library rather than to the model."""
    return {
        name: _without_private(value) if isinstance(value, dict) else value
        for name, value in described.items()
        if not name.startswith("_") and name != "transformers_version"
    }
