"""Finding a checkpoint: the embedded one is built once and whole, others are checked."""

from __future__ import annotations

import json
import multiprocessing
import stat
from dataclasses import replace
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest

from inference.config import InferenceConfig
from inference.models import CheckpointError, check_checkpoint, ensure_model, tiny


def embedded(cache: Path) -> InferenceConfig:
    return InferenceConfig(model_cache_directory=str(cache))


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


def _build(cache: str, start: Barrier) -> None:
    start.wait(60)
    ensure_model(InferenceConfig(model_cache_directory=cache))


def test_two_builds_have_identical_bytes(tmp_path: Path) -> None:
    first, second = ensure_model(embedded(tmp_path / "a")), ensure_model(embedded(tmp_path / "b"))
    assert first.name == second.name
    assert contents(first) == contents(second)
    assert {"config.json", "model.safetensors", "tokenizer.json"} <= contents(first).keys()


def test_a_built_model_is_used_again(tmp_path: Path) -> None:
    built = ensure_model(embedded(tmp_path))
    weights = built / "model.safetensors"
    before = weights.stat()
    assert ensure_model(embedded(tmp_path)) == built
    assert weights.stat().st_ino == before.st_ino
    assert [path.name for path in tmp_path.iterdir()] == [built.name]


def test_the_cache_is_private(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    ensure_model(embedded(cache))
    assert stat.S_IMODE(cache.stat().st_mode) == 0o700


def test_the_default_cache_follows_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert ensure_model(InferenceConfig()).parent == tmp_path / "xdg" / "glyph"
    for ignored in ("", "relative/path"):
        monkeypatch.setenv("XDG_CACHE_HOME", ignored)
        assert ensure_model(InferenceConfig()).parent == tmp_path / "home" / ".cache" / "glyph"


@pytest.mark.parametrize("lost", ["model.safetensors", "config.json", "tokenizer.json"])
def test_a_damaged_model_is_built_anew(tmp_path: Path, lost: str) -> None:
    built = ensure_model(embedded(tmp_path))
    whole = contents(built)
    (built / lost).unlink()
    assert ensure_model(embedded(tmp_path)) == built
    assert contents(built) == whole
    assert [path.name for path in tmp_path.iterdir()] == [built.name]


def test_workers_that_start_together_share_one_model(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    context = multiprocessing.get_context("spawn")
    start = context.Barrier(4)
    workers = [context.Process(target=_build, args=(str(cache), start)) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0] * 4
    (built,) = cache.iterdir()
    assert ensure_model(embedded(cache)) == built


def test_an_existing_checkpoint_is_taken_as_it_is(tmp_path: Path) -> None:
    tiny.write_checkpoint(tmp_path)
    assert ensure_model(InferenceConfig(model=str(tmp_path))) == tmp_path


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    config = replace(InferenceConfig(), model=str(tmp_path / "none"))
    with pytest.raises(CheckpointError, match="none is not a directory"):
        ensure_model(config)
    for name in ("config.json", "tokenizer.json", "model.safetensors"):
        tiny.write_checkpoint(tmp_path)
        (tmp_path / name).unlink()
        with pytest.raises(CheckpointError, match=f"{name} is missing"):
            check_checkpoint(tmp_path)


def test_sharded_weights_must_all_be_there(tmp_path: Path) -> None:
    tiny.write_checkpoint(tmp_path)
    (tmp_path / "model.safetensors").rename(tmp_path / "model-1.safetensors")
    index = {"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(CheckpointError, match=r"model-2\.safetensors is missing"):
        check_checkpoint(tmp_path)
    (tmp_path / "model-2.safetensors").touch()
    check_checkpoint(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"model_type": "llama"}', "is of type llama, not a Glm4v-class model"),
        ("{", "is not JSON"),
        ("[]", "is not a JSON object"),
    ],
)
def test_other_models_are_refused(tmp_path: Path, text: str, message: str) -> None:
    tiny.write_checkpoint(tmp_path)
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(CheckpointError, match=message):
        check_checkpoint(tmp_path)


def test_a_pointer_is_not_weights(tmp_path: Path) -> None:
    tiny.write_checkpoint(tmp_path)
    (tmp_path / "model.safetensors").write_text("version 1\noid sha256:0\nsize 5\n")
    with pytest.raises(CheckpointError, match="Git LFS pointer"):
        check_checkpoint(tmp_path)
