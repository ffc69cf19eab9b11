"""Train the embedded reader: `python -m inference.models.train --out DIR --minutes 60`.

DIR/model is the best checkpoint so far, an ordinary directory to serve; DIR/state.pt is what
`--resume` goes on from; DIR/log.jsonl and DIR/loss.svg tell how it went.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from inference.config import InferenceConfig
from inference.models.train.evaluate import Reader, held_out, measure, questions_of
from inference.models.train.export import export
from inference.models.train.grid import ROWS
from inference.models.train.loop import Settings, Trainer, append_line
from inference.models.train.plot import loss_plot

_EVALUATE_EVERY_SECONDS = 600.0
_SMOKE_SECONDS = 6.0
_VISION_SHARE = 0.15
_MOST_TOKENS_PER_LINE = 96


def main(arguments: list[str]) -> int:
    """Run the recipe; prints the accuracy of the best checkpoint as JSON."""
    options = _parser().parse_args(arguments)
    device = _device(options.device)
    torch.set_num_threads(options.threads)
    seconds = _SMOKE_SECONDS if options.smoke else options.minutes * 60
    settings = Settings(
        seconds=seconds,
        vision_seconds=seconds * _VISION_SHARE,
        seed=options.seed,
        batch_tokens=1024 if options.smoke else options.batch_tokens,
        vision_pages=2 if options.smoke else 8,
        report_every=1 if options.smoke else 10,
    )
    out: Path = options.out
    out.mkdir(parents=True, exist_ok=True)
    trainer = Trainer(settings, device, out)
    if options.resume and trainer.resume():
        sys.stderr.write(f"going on from step {trainer.progress.step}\n")
    log = out / "log.jsonl"

    def report(facts: dict[str, float]) -> None:
        append_line(log, facts)
        line = "  ".join(f"{name} {value:.4g}" for name, value in facts.items())
        sys.stderr.write(f"\r\x1b[K{line}")
        sys.stderr.flush()

    evaluated = time.monotonic()
    for _ in trainer.run(report):
        if time.monotonic() - evaluated >= _EVALUATE_EVERY_SECONDS:
            _keep_if_better(trainer, out, _Exam(pages=4, lines=ROWS))
            evaluated = time.monotonic()
    _keep_if_better(trainer, out, _Exam(2, 2) if options.smoke else _Exam(8, ROWS))
    (out / "loss.svg").write_text(loss_plot(_records(log)), "utf-8")
    sys.stderr.write("\n")
    sys.stdout.write((out / "accuracy.json").read_text("utf-8"))
    return 0


@dataclass(frozen=True, slots=True)
class _Exam:
    """How much is asked of a candidate."""

    pages: int
    lines: int


def _keep_if_better(trainer: Trainer, out: Path, exam: _Exam) -> None:
    """Export; the candidate becomes DIR/model when it reads better than what is there."""
    candidate, best = out / "candidate", out / "model"
    shutil.rmtree(candidate, ignore_errors=True)
    export(trainer.network, trainer.vocabulary, candidate)
    found = _accuracy(candidate, exam)
    kept = out / "accuracy.json"
    before = json.loads(kept.read_text("utf-8"))["error"] if kept.exists() else None
    if before is not None and best.exists() and found["error"] > before:
        shutil.rmtree(candidate)
        return
    shutil.rmtree(best, ignore_errors=True)
    os.rename(candidate, best)
    kept.write_text(json.dumps(found, indent=2) + "\n", "utf-8")


def _accuracy(directory: Path, exam: _Exam) -> dict[str, float]:
    """Held-out accuracy: `cer`, `lookups` and `error`, which weighs both."""
    reader = Reader(directory, InferenceConfig(model=str(directory)))
    pages = held_out("training", "transcription", exam.pages, exam.lines)
    read = measure(reader, questions_of(pages), exam.lines * _MOST_TOKENS_PER_LINE)
    asked = [
        example
        for kind in ("value", "holder", "line")
        for example in held_out("training", kind, 4 * exam.pages, exam.lines)
    ]
    found = measure(reader, questions_of(asked), _MOST_TOKENS_PER_LINE)
    error = read.character_error_rate + (1 - found.exact) / 10
    return {"cer": read.character_error_rate, "lookups": found.exact, "error": error}


def _records(log: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in log.read_text("utf-8").splitlines()]


def _device(wanted: str) -> torch.device:
    if wanted == "auto":
        wanted = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(wanted)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m inference.models.train", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--out", type=Path, required=True, help="directory for all results")
    parser.add_argument("--minutes", type=float, default=60.0, help="time for everything")
    parser.add_argument("--resume", action="store_true", help="go on from DIR/state.pt")
    parser.add_argument("--smoke", action="store_true", help="a few steps, to see that it runs")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads")
    parser.add_argument("--batch-tokens", type=int, default=4096, help="tokens in one step")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
