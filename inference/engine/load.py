"""A checkpoint directory to a model in memory."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

# The libraries must not look for anything outside this machine, and say so before import.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TRANSFORMERS_OFFLINE", "1")

import torch
from transformers import PreTrainedModel
from transformers.utils import logging as transformers_logging

from inference.config import InferenceConfig
from inference.engine.patches import CLIP_MEAN, CLIP_STD
from inference.engine.values import DEFAULT_IMAGE_AREA, ModelError, Sampling

PRECISIONS = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
_WHOLE_FILE_BYTES = 64 * 2**20
_SAMPLE_BYTES = 2**20
_SAMPLES = 64


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A model ready to run, with what its directory says about using it."""

    model: PreTrainedModel
    name: str
    fingerprint: str
    end_ids: frozenset[int]
    default_sampling: Sampling
    image_mean: tuple[float, ...]
    image_std: tuple[float, ...]
    image_area: tuple[int, int]


def load_checkpoint(directory: Path, config: InferenceConfig) -> Checkpoint:
    """Load weights onto the configured device.

    Raises ModelError when the directory is not a Glm4v-class checkpoint, OSError when unreadable.
    """
    transformers_logging.disable_progress_bar()
    transformers_logging.set_verbosity_error()
    torch.set_num_threads(config.threads)
    described = _read_json(directory / "config.json", required=True)
    device = _device(config.device)
    dtype = PRECISIONS[config.precision]
    model = _model_class(str(described.get("model_type"))).from_pretrained(
        directory, dtype=dtype, attn_implementation="sdpa", local_files_only=True
    )
    model = model.to(device).eval().requires_grad_(False)
    generation = _read_json(directory / "generation_config.json")
    pictures = _read_json(directory / "preprocessor_config.json")
    return Checkpoint(
        model=model,
        name=config.model if config.model == "embedded" else directory.name,
        fingerprint=fingerprint(directory, config.precision),
        end_ids=_end_ids(generation, described),
        default_sampling=_default_sampling(generation),
        image_mean=_floats(pictures.get("image_mean"), CLIP_MEAN),
        image_std=_floats(pictures.get("image_std"), CLIP_STD),
        image_area=_image_area(pictures.get("size")),
    )


def fingerprint(directory: Path, precision: str) -> str:
    """16 hex digits over weights, tokenizer, templates and number format.

    Weight files above 64 MiB count with their size and 64 samples of 1 MiB spread over them, the
    last one included: hashing all of 20 GB would take longer than loading it.
    """
    digest = hashlib.blake2b(precision.encode(), digest_size=8)
    weights = sorted(directory.glob("*.safetensors")) + sorted(directory.glob("*.bin"))
    others = (
        "config.json",
        "generation_config.json",
        "preprocessor_config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "chat_template.jinja",
    )
    texts = [directory / name for name in others]
    for path in [*weights, *(path for path in texts if path.exists())]:
        size = path.stat().st_size
        digest.update(f"{path.name}:{size}:".encode())
        with path.open("rb") as file:
            if size <= _WHOLE_FILE_BYTES:
                digest.update(file.read())
                continue
            for sample in range(_SAMPLES):
                file.seek((size - _SAMPLE_BYTES) * sample // (_SAMPLES - 1))
                digest.update(file.read(_SAMPLE_BYTES))
    return digest.hexdigest()


def _model_class(model_type: str) -> type[PreTrainedModel]:
    """Only the class needed is imported: each costs a noticeable part of the start."""
    if model_type == "glm4v":
        from transformers.models.glm4v.modeling_glm4v import Glm4vForConditionalGeneration

        return Glm4vForConditionalGeneration  # type: ignore[no-any-return]
    if model_type == "glm46v":
        from transformers.models.glm46v.modeling_glm46v import Glm46VForConditionalGeneration

        return Glm46VForConditionalGeneration  # type: ignore[no-any-return]
    raise ModelError(f"model type {model_type!r} is not supported; there are glm4v and glm46v")


def _device(wanted: str) -> torch.device:
    available = torch.cuda.is_available()
    if wanted == "cuda" and not available:
        raise ModelError("device is cuda, but no CUDA device can be used here")
    return torch.device("cuda" if available and wanted != "cpu" else "cpu")


def _read_json(path: Path, required: bool = False) -> Mapping[str, object]:
    if not path.exists():
        if required:
            raise ModelError(f"{path} does not exist")
        return {}
    try:
        loaded = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise ModelError(f"{path} is not JSON: {error}") from error
    if not isinstance(loaded, dict):
        raise ModelError(f"{path} is not a JSON object")
    return loaded


def _end_ids(generation: Mapping[str, object], described: Mapping[str, object]) -> frozenset[int]:
    text = described.get("text_config")
    fallback = text.get("eos_token_id") if isinstance(text, dict) else None
    found = generation.get("eos_token_id", fallback)
    listed = found if isinstance(found, list) else [found]
    return frozenset(item for item in listed if isinstance(item, int))


def _default_sampling(generation: Mapping[str, object]) -> Sampling:
    """What the model's makers recommend; a model that says nothing is sampled as OpenAI does."""
    repetition_penalty = _number(generation.get("repetition_penalty"), 1.0)
    if generation.get("do_sample") is False:
        return Sampling(repetition_penalty=repetition_penalty)
    return Sampling(
        temperature=_number(generation.get("temperature"), 1.0),
        top_p=_number(generation.get("top_p"), 1.0),
        top_k=int(_number(generation.get("top_k"), 0)),
        min_p=_number(generation.get("min_p"), 0.0),
        repetition_penalty=repetition_penalty,
    )


def _number(value: object, default: float) -> float:
    return float(value) if isinstance(value, int | float) else default


def _floats(value: object, default: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(float(item) for item in value) if isinstance(value, list) else default


def _image_area(size: object) -> tuple[int, int]:
    """The library calls them edges; they are areas."""
    found = size if isinstance(size, dict) else {}
    smallest, largest = DEFAULT_IMAGE_AREA
    return (
        int(_number(found.get("shortest_edge"), smallest)),
        int(_number(found.get("longest_edge"), largest)),
    )
