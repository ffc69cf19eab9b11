from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from inference.engine.load import fingerprint, load_checkpoint
from inference.engine.values import ModelError, Sampling
from tests.unit.inference_engine.oracle import config, loaded
from tests.unit.inference_engine.tiny import checkpoint


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(checkpoint(), tmp_path / "model"))


def test_what_a_directory_says() -> None:
    found = loaded()
    assert found.end_ids == {0, 4}
    assert found.default_sampling == Sampling(temperature=0.0)
    assert not found.model.training
    assert not any(weight.requires_grad for weight in found.model.parameters())


def test_fingerprint_is_of_content(copy: Path) -> None:
    before = fingerprint(copy, "fp32")
    assert before == fingerprint(checkpoint(), "fp32")
    assert before != fingerprint(copy, "bf16")
    weights = copy / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    assert fingerprint(copy, "fp32") != before


def test_fingerprint_sees_the_tokenizer(copy: Path) -> None:
    before = fingerprint(copy, "fp32")
    (copy / "tokenizer.json").write_text("{}")
    assert fingerprint(copy, "fp32") != before


def test_large_weights_are_sampled_to_the_end(tmp_path: Path) -> None:
    weights = tmp_path / "model.safetensors"
    with weights.open("wb") as file:
        file.truncate(80 * 2**20)
    before = fingerprint(tmp_path, "fp32")
    with weights.open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x01")
    assert fingerprint(tmp_path, "fp32") != before


def test_sampling_defaults_of_the_makers(copy: Path) -> None:
    told = {"do_sample": True, "temperature": 0.8, "top_p": 0.6, "top_k": 2, "eos_token_id": 5}
    (copy / "generation_config.json").write_text(json.dumps(told))
    found = load_checkpoint(copy, config())
    assert found.default_sampling == Sampling(temperature=0.8, top_p=0.6, top_k=2)
    assert found.end_ids == {5}
    told.update({"min_p": 0.05, "repetition_penalty": 1.1})
    (copy / "generation_config.json").write_text(json.dumps(told))
    shaped = Sampling(temperature=0.8, top_p=0.6, top_k=2, min_p=0.05, repetition_penalty=1.1)
    assert load_checkpoint(copy, config()).default_sampling == shaped
    (copy / "generation_config.json").write_text(json.dumps({**told, "do_sample": False}))
    greedy = Sampling(repetition_penalty=1.1)
    assert load_checkpoint(copy, config()).default_sampling == greedy


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "does not exist"),
        ("{", "not JSON"),
        ("[]", "object"),
        ('{"model_type": "llama"}', "llama"),
    ],
)
def test_unusable_directories_are_named(tmp_path: Path, content: str | None, message: str) -> None:
    if content is not None:
        (tmp_path / "config.json").write_text(content)
    with pytest.raises(ModelError, match=message):
        load_checkpoint(tmp_path, config())
