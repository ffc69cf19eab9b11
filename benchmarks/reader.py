"""How well the embedded reader reads: `python -m benchmarks.reader [--quick] [--json]`.

Everything is measured on pages of held-out seeds through the product's renderer, chat template and
engine. Errors are Levenshtein distances over all characters, line breaks included. `--card` also
writes the runs into the table of the model card.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypedDict

from inference.config import InferenceConfig, KvConfig
from inference.models.train.evaluate import (
    Accuracy,
    Question,
    Reader,
    character_errors,
    held_out,
    measure,
    questions_of,
)
from inference.models.train.grid import PROFILE
from inference.render import render_pages, resolve_style

MODEL = Path(__file__).parents[1] / "inference" / "models" / "reader"
TEXT = Path(__file__).parents[1] / "tests" / "data" / "genesis-kjv.txt"
LOOKUPS = ("value", "holder", "line")
MOST_TOKENS = 2048
PAGE_SIZES = {
    "100": range(80, 121),
    "250": range(225, 276),
    "500": range(475, 526),
    "1000": range(1000, 1300),
}
"""Characters on a page; a page has room for 1,280."""
_TABLE_BEGIN, _TABLE_END = "<!-- figures -->", "<!-- /figures -->"

Run = dict[str, str | float]


class Report(TypedDict):
    """What a benchmark prints."""

    machine: dict[str, str | int]
    figures: dict[str, float]
    runs: list[Run]


Note = Callable[..., Accuracy]


def main(arguments: Sequence[str]) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reader", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the pages")
    parser.add_argument("--json", action="store_true", help="print JSON only")
    parser.add_argument("--model", type=Path, default=MODEL, help="checkpoint directory")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--card", action="store_true", help="update the model card's table")
    options = parser.parse_args(arguments)
    found = measure_all(options.model, options.quick, options.threads, not options.json)
    if options.card:
        card = options.model / "README.md"
        card.write_text(with_table(card.read_text("utf-8"), found["runs"]), "utf-8")
    print(json.dumps(found, indent=None if options.json else 2))
    return 0


def measure_all(model: Path, quick: bool, threads: int, talk: bool = False) -> Report:
    """Machine, figures and runs."""
    runs: list[Run] = []

    def note(what: str, accuracy: Accuracy, **conditions: str | float) -> Accuracy:
        runs.append(
            {
                "what": what,
                **conditions,
                "cer": accuracy.character_error_rate,
                "exact": accuracy.exact,
                "characters": accuracy.characters,
            }
        )
        if talk:
            print(json.dumps(runs[-1]), file=sys.stderr, flush=True)
        return accuracy

    pages = 3 if quick else 24
    reader = _reader(model, threads)
    figures: dict[str, float] = {}
    for name, size in PAGE_SIZES.items():
        questions = pages_of(pages, size)
        started = time.monotonic()
        found = note("transcription", measure(reader, questions), page=name)
        figures[f"cer_{name}"] = found.character_error_rate
        figures[f"characters_{name}"] = found.characters / len(questions)
        figures["tokens_per_s_c8"] = found.tokens / (time.monotonic() - started)
    figures["cer_ascii"] = figures["cer_500"]
    figures["lookup_accuracy"] = _lookups(reader, pages, note)
    figures["cer_genesis"] = _genesis(reader, quick, note)
    small = pages_of(max(2, pages // 4), PAGE_SIZES["1000"])
    found = note("transcription", measure(reader, small), page="1000", precision="fp32")
    figures["cer_fp32"] = found.character_error_rate
    found = note(
        "transcription",
        measure(_reader(model, threads, "bf16"), small),
        page="1000",
        precision="bf16",
    )
    figures["cer_bf16"] = found.character_error_rate
    alone = measure(_reader(model, threads, slots=1), small[:2])
    figures["cer_alone"] = note("transcription", alone, page="1000", slots=1).character_error_rate
    blurred = note(
        "transcription", measure(reader, pages_of(2, PAGE_SIZES["250"], dpi=64), 512), dpi=64
    )
    figures["cer_64_dpi"] = blurred.character_error_rate
    return {"machine": machine(), "figures": figures, "runs": runs}


def with_table(card: str, runs: Sequence[Run]) -> str:
    """A model card whose table, between two marks, says what the runs found."""
    rows = ["| what | conditions | characters | character errors | answers without error |"]
    rows.append("|---|---|---|---|---|")
    for run in runs:
        conditions = ", ".join(
            f"{name} {value}"
            for name, value in run.items()
            if name not in ("what", "cer", "exact", "characters")
        )
        rows.append(
            f"| {run['what']} | {conditions} | {run['characters']} "
            f"| {float(run['cer']):.2%} | {float(run['exact']):.1%} |"
        )
    before, _, rest = card.partition(_TABLE_BEGIN)
    _, mark, after = rest.partition(_TABLE_END)
    if not mark:
        raise ValueError("the card has no place for the table")
    return "\n".join([before + _TABLE_BEGIN, *rows, _TABLE_END]) + after


def pages_of(count: int, size: range, dpi: int | None = None) -> list[Question]:
    """Held-out pages of prose, settings, code and noise with so many characters."""
    pool = [
        example
        for lines in (3, 6, 12, 20)
        for example in held_out("benchmark", "transcription", 2 * lines * count, lines)
        if len(example.text) in size
    ]
    full = pool[:: max(1, len(pool) // count)][:count]
    if dpi is None:
        return questions_of(full)
    style = resolve_style(PROFILE, dpi)
    return [
        Question(tuple(page.pixels for page in render_pages(one.text, style)), "", one.text)
        for one in full
    ]


def _lookups(reader: Reader, pages: int, note: Note) -> float:
    exact = asked = 0.0
    for kind in LOOKUPS:
        for lines, of_pages in ((5, 1), (20, 1), (10, 2)):
            count = 2 * pages
            questions = questions_of(held_out("benchmark", kind, count, lines, of_pages))
            found = note(kind, measure(reader, questions, 96), lines=lines, pages=of_pages)
            exact += found.exact * count
            asked += count
    questions = questions_of(held_out("benchmark", "refusal", pages, 1))
    note("refusal", measure(reader, questions, 96))
    return exact / asked


def _genesis(reader: Reader, quick: bool, note: Note) -> float:
    """Pages of the public-domain text; lines are joined, as the page does not say which broke."""
    text = TEXT.read_text("ascii")
    drawn = []
    for page in render_pages(text, resolve_style(PROFILE)):
        part = text[page.first_character : page.first_character + page.characters]
        drawn.append(Question((page.pixels,), "Transcribe.", part))
        if quick and len(drawn) == 2:
            break
    errors = characters = right = tokens = 0
    for question, answer in zip(drawn, reader.answer(drawn, MOST_TOKENS), strict=True):
        wanted = _joined(question.answer)
        wrong = character_errors(_joined(answer.text), wanted)
        errors, characters = errors + wrong, characters + len(wanted)
        right += wrong == 0
        tokens += answer.tokens
    accuracy = Accuracy(errors / characters, right / len(drawn), characters, tokens)
    note("genesis", accuracy, pages=len(drawn))
    return accuracy.character_error_rate


def _joined(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()


def _reader(model: Path, threads: int, precision: str = "fp32", slots: int = 8) -> Reader:
    config = InferenceConfig(
        model=str(model),
        precision="bf16" if precision == "bf16" else "fp32",
        threads=threads,
        kv=KvConfig(slots=slots, length=4096),
    )
    return Reader(model, config)


def machine() -> dict[str, str | int]:
    """What the figures were measured on."""
    return {
        "processor": platform.machine(),
        "cores": os.cpu_count() or 1,
        "python": platform.python_version(),
        "system": platform.system(),
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
