"""From the configuration's `model` to a directory with everything a model needs."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from pathlib import Path

from inference.config import EMBEDDED, InferenceConfig
from inference.models import tiny
from inference.models.vocabulary import FILES

_WEIGHTS, _INDEX = "model.safetensors", "model.safetensors.index.json"
_LFS_POINTER = b"version "
_POINTER_BYTES = 1024


class CheckpointError(ValueError):
    """There is no usable checkpoint; the message says where and what is missing."""


def ensure_model(config: InferenceConfig) -> Path:
    """Directory of the configured checkpoint; builds the embedded one on first use.

    Raises CheckpointError when a configured directory lacks something, OSError when the cache
    cannot be written. Safe when several workers start at once.
    """
    if config.model == EMBEDDED:
        return _embedded(_cache_directory(config.model_cache_directory))
    directory = Path(config.model).expanduser()
    check_checkpoint(directory)
    return directory


def check_checkpoint(directory: Path) -> None:
    """Raise CheckpointError unless `directory` holds configuration, tokenizer and all weights."""
    if not directory.is_dir():
        raise CheckpointError(f"model: {directory} is not a directory")
    kind = str(_read_json(directory / "config.json").get("model_type"))
    if not kind.startswith("glm4"):
        raise CheckpointError(f"model: {directory} is of type {kind}, not a Glm4v-class model")
    for name in ("tokenizer.json", *_weight_files(directory)):
        path = directory / name
        if not path.is_file():
            raise CheckpointError(f"model: {path} is missing")
        if path.stat().st_size < _POINTER_BYTES and path.read_bytes().startswith(_LFS_POINTER):
            raise CheckpointError(f"model: {path} is a Git LFS pointer: fetch it with git lfs pull")


def _weight_files(directory: Path) -> list[str]:
    if not (directory / _INDEX).is_file():
        return [_WEIGHTS]
    places = _read_json(directory / _INDEX).get("weight_map")
    if not isinstance(places, dict) or not places:
        raise CheckpointError(f"model: {directory / _INDEX} names no weights")
    return sorted({str(name) for name in places.values()})


def _read_json(path: Path) -> dict[str, object]:
    try:
        value = json.loads(path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise CheckpointError(f"model: {path} is missing") from error
    except ValueError as error:
        raise CheckpointError(f"model: {path} is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise CheckpointError(f"model: {path} is not a JSON object")
    return value


def _cache_directory(configured: str | None) -> Path:
    if configured is not None:
        directory = Path(configured).expanduser()
    else:
        # An empty or relative XDG_CACHE_HOME is to be ignored (XDG Base Directory Specification).
        home = os.environ.get("XDG_CACHE_HOME", "")
        base = Path(home) if os.path.isabs(home) else Path.home() / ".cache"
        directory = base / "glyph"
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    return directory


def _embedded(cache: Path) -> Path:
    """The tiny model in `cache`, named after its recipe, built unless it is there whole."""
    target = cache / f"tiny-{_recipe_digest()}"
    if _is_whole(target):
        return target
    with tempfile.TemporaryDirectory(prefix=".building-", dir=cache) as building:
        made = Path(building) / "model"
        made.mkdir(mode=0o700)
        tiny.write_checkpoint(made)
        if target.exists():  # damaged: files are missing
            with contextlib.suppress(FileNotFoundError):
                os.rename(target, Path(building) / "damaged")
        try:
            os.rename(made, target)
        except OSError:
            # Another worker was faster. Its files are the same; anything else is an error.
            if not _is_whole(target):
                raise
    return target


def _is_whole(directory: Path) -> bool:
    try:
        check_checkpoint(directory)
    except CheckpointError:
        return False
    return True


def _recipe_digest() -> str:
    digest = hashlib.sha256()
    for path in (Path(tiny.__file__), *sorted(FILES.iterdir())):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]
