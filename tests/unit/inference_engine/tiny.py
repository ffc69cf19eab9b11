"""A Glm4v checkpoint small enough for tests: fixed random weights, byte-level tokenizer."""

from __future__ import annotations

import atexit
import json
import shutil
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedModel

SPECIAL = (
    "<|endoftext|>",
    "[gMASK]",
    "<sop>",
    "<|system|>",
    "<|user|>",
    "<|assistant|>",
    "<|begin_of_image|>",
    "<|image|>",
    "<|end_of_image|>",
    "<|begin_of_video|>",
    "<|video|>",
    "<|end_of_video|>",
)
TEMPLATE = (
    "[gMASK]<sop>"
    "{%- for m in messages %}<|{{ m.role }}|>\n"
    "{%- if m.content is string %}{{ m.content }}"
    "{%- else %}{%- for part in m.content %}"
    "{%- if part.type == 'image' %}<|begin_of_image|><|image|><|end_of_image|>"
    "{%- else %}{{ part.text }}{%- endif %}{%- endfor %}{%- endif %}"
    "{%- endfor %}<|assistant|>\n"
)
TEXT = "the quick brown fox jumps over the lazy dog 你好，世界。落霞与孤鹜齐飞"
VOCABULARY = 512


def build(directory: Path, model_type: str = "glm4v", seed: int = 0) -> Path:
    """Write a whole checkpoint to `directory`."""
    import torch

    ids = _write_tokenizer(directory)
    torch.manual_seed(seed)
    model = _model(model_type, ids)
    # Larger than the library's 0.02: answers should depend on what was read, not on noise.
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.dim() > 1:
                weight.normal_(0, 0.6 if "embed" in name or "lm_head" in name else 0.2)
    model.save_pretrained(directory)
    generation = {"eos_token_id": [ids["<|endoftext|>"], ids["<|user|>"]], "do_sample": False}
    (directory / "generation_config.json").write_text(json.dumps(generation))
    return directory


@cache
def checkpoint(model_type: str = "glm4v") -> Path:
    """A checkpoint shared by all tests of a process."""
    directory = Path(mkdtemp(prefix="glyph-tiny-"))
    atexit.register(shutil.rmtree, directory, ignore_errors=True)
    return build(directory, model_type)


def _write_tokenizer(directory: Path) -> dict[str, int]:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([TEXT] * 4, trainer)
    tokenizer.save(str(directory / "tokenizer.json"))
    described = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "chat_template": TEMPLATE,
        "eos_token": "<|endoftext|>",
        "pad_token": "<|endoftext|>",
    }
    (directory / "tokenizer_config.json").write_text(json.dumps(described))
    return {token: tokenizer.token_to_id(token) or 0 for token in SPECIAL}


def _model(model_type: str, ids: dict[str, int]) -> PreTrainedModel:
    text = {
        "vocab_size": VOCABULARY,
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "pad_token_id": 0,
        "max_position_embeddings": 4096,
        "rope_parameters": {
            "rope_type": "default",
            "rope_theta": 10000.0,
            "partial_rotary_factor": 0.5,
            "mrope_section": [1, 1, 2],
        },
    }
    vision = {
        "depth": 2,
        "hidden_size": 32,
        "num_heads": 2,
        "intermediate_size": 64,
        "out_hidden_size": 64,
        "image_size": 112,
        "patch_size": 14,
    }
    special = {
        "image_token_id": ids["<|image|>"],
        "video_token_id": ids["<|video|>"],
        "image_start_token_id": ids["<|begin_of_image|>"],
        "image_end_token_id": ids["<|end_of_image|>"],
        "video_start_token_id": ids["<|begin_of_video|>"],
        "video_end_token_id": ids["<|end_of_video|>"],
    }
    if model_type == "glm4v":
        from transformers import Glm4vConfig, Glm4vForConditionalGeneration

        return Glm4vForConditionalGeneration(
            Glm4vConfig(text_config=text, vision_config=vision, **special)
        )
    from transformers import Glm46VConfig, Glm46VForConditionalGeneration

    parts = {
        "text_config": {"model_type": "glm4v_text", **text},
        "vision_config": {"model_type": "glm4v_vision", **vision},
    }
    return Glm46VForConditionalGeneration(Glm46VConfig(**parts, **special))
