"""Put a trained checkpoint into the package: `python -m inference.models.train.publish DIR`.

Beside the checkpoint's files the package carries a canary: a request and the answer this very
checkpoint gives to it. A worker that answers otherwise computes wrongly.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

from inference.config import InferenceConfig, KvConfig
from inference.models.train.evaluate import Question, Reader
from inference.models.train.grid import PROFILE
from inference.render import render_pages, resolve_style

TARGET = Path(__file__).parents[1] / "reader"
PROFILE_NAME = "reader"
CANARY_TEXT = 'Canary 7: "Quick foxes" read 42 lines.\nif (a[0] != 0x2F) { return {k: v}; }'
CANARY_QUESTION = "Transcribe."
_FILES = (
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "preprocessor_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
)
_MOST_TOKENS = 128


def publish(checkpoint: Path, target: Path) -> None:
    """Copy the checkpoint and record its canary.

    Raises ValueError when the checkpoint cannot even read the canary.
    """
    token_ids, text = canary_answer(checkpoint)
    if text != CANARY_TEXT:
        raise ValueError(f"the canary was read as {text!r}")
    target.mkdir(parents=True, exist_ok=True)
    for name in _FILES:
        shutil.copyfile(checkpoint / name, target / name)
    content = [{"type": "text", "text": text} for text in (CANARY_TEXT, CANARY_QUESTION)]
    canary = {
        "request": {
            "messages": [{"role": "user", "content": content}],
            "temperature": 0,
            "max_tokens": _MOST_TOKENS,
            "glyph": {"mode": "always", "profile": PROFILE_NAME},
        },
        "answer": text,
        "token_ids": token_ids,
    }
    (target / "canary.json").write_text(json.dumps(canary, indent=1) + "\n", "utf-8")


def canary_answer(checkpoint: Path) -> tuple[list[int], str]:
    """Token ids and text of what a checkpoint answers to the canary."""
    config = InferenceConfig(model=str(checkpoint), kv=KvConfig(slots=1, length=1024))
    reader = Reader(checkpoint, config)
    pages = tuple(page.pixels for page in render_pages(CANARY_TEXT, resolve_style(PROFILE)))
    ids = reader.answer_ids([Question(pages, CANARY_QUESTION, CANARY_TEXT)], _MOST_TOKENS)[0]
    return ids, reader.text(ids)


if __name__ == "__main__":
    publish(Path(sys.argv[1]), TARGET)
