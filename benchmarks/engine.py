"""The engine against generate(): `python -m benchmarks.engine [--quick] [--json]`.

Every request carries one drawn page; the lengths of the answers are as skewed as in real traffic.
Throughput: all requests are there at once, and 16 at most are computed together; generate() works
through them one by one, and in batches of the size that suits it best (tried first). Time to first
token: requests arrive at random, at a rate that keeps batched generate() `LOAD` busy, the same
arrivals for both. The contenders take turns; a figure is the median of the ratios of the rounds.
Throughput is per second of CPU: all contenders keep one thread busy, so that on an idle machine it
is the same as by the clock. The answers are compared token by token.

`tokens_per_s_vs_transformers_serve` is not measured here.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from random import Random

import torch
import transformers

from benchmarks.engine_contenders import Answer, Generate, OurEngine, Played, Request
from benchmarks.report import Report, Run, emit, machine, median_ratio, quantile, say
from inference.config import EMBEDDED, InferenceConfig, ProfileConfig
from inference.engine.load import Checkpoint, load_checkpoint
from inference.engine.tokenizer import (
    ChatTokenizer,
    ImagePart,
    TextPart,
    Turn,
    load_tokenizer,
)
from inference.models.checkpoint import ensure_model
from inference.render import render_pages, resolve_style

TEXT = Path(__file__).parents[1] / "tests" / "data" / "genesis-kjv.txt"
CONCURRENCY = 16
BATCH_SIZES = (8, 16, 32)
LOAD = 0.7
# 64 of the 19,366 values of GeneratedTokens in the conversation trace of 2023 of the Azure Public
# Dataset (CC BY 4.0), drawn at random: median 133, mean 222, longest 532.
OUTPUT_TOKENS = (
    394,
    147,
    48,
    161,
    409,
    516,
    14,
    166,
    426,
    96,
    91,
    62,
    103,
    106,
    435,
    116,
    532,
    18,
    84,
    217,
    38,
    398,
    162,
    93,
    409,
    416,
    423,
    59,
    478,
    415,
    38,
    412,
    73,
    111,
    421,
    85,
    154,
    414,
    502,
    91,
    78,
    79,
    415,
    198,
    112,
    31,
    108,
    74,
    423,
    394,
    95,
    379,
    432,
    397,
    153,
    433,
    217,
    53,
    396,
    52,
    133,
    143,
    81,
    101,
)

Arrivals = Sequence[float]


def main(arguments: Sequence[str]) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.engine", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer and shorter answers")
    parser.add_argument("--json", action="store_true", help="print JSON only")
    parser.add_argument("--model", default=EMBEDDED, help="checkpoint directory")
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of the model")
    options = parser.parse_args(arguments)
    config = InferenceConfig(model=options.model, threads=options.threads)
    emit(measure(config, options.quick), options.json)
    return 0


def measure(config: InferenceConfig, quick: bool) -> Report:
    """Machine, figures and runs."""
    directory = ensure_model(config)
    checkpoint, tokenizer = load_checkpoint(directory, config), load_tokenizer(directory)
    requests = load(tokenizer, quick)
    described = machine() | {
        "model": directory.name,
        "parameters": sum(weight.numel() for weight in checkpoint.model.parameters()),
        "threads": config.threads,
        "torch": torch.__version__,
        "transformers": transformers.__version__,
    }
    bench = Bench(checkpoint, tokenizer, requests)
    rounds = 2 if quick else 3
    figures = bench.throughput(rounds) | bench.first_token(rounds)
    say("".join(f"{name:32} {figure:g}\n" for name, figure in figures.items()))
    return {"machine": described, "figures": figures, "runs": bench.runs}


def load(tokenizer: ChatTokenizer, quick: bool) -> list[Request]:
    """The requests: a few lines of text on a page as large as they need, and a question."""
    style = resolve_style(ProfileConfig(crop_width=True, crop_last_page=True))
    source, random = TEXT.read_text("utf-8"), Random("pages")
    lengths = [max(2, tokens // 4) for tokens in OUTPUT_TOKENS[::2]] if quick else OUTPUT_TOKENS
    requests = []
    for tokens in lengths:
        begin = random.randrange(len(source) - 400)
        text = source[begin : begin + random.randint(100, 300)]
        page = next(render_pages(text, style)).pixels
        image = ImagePart(page.shape[0] // 28, page.shape[1] // 28)
        prompt = tokenizer.encode_chat([Turn("user", (image, TextPart("What does it say?")))])
        requests.append(Request(prompt, page, tokens))
    return requests


class Bench:
    """The contenders on one load."""

    def __init__(
        self, checkpoint: Checkpoint, tokenizer: ChatTokenizer, requests: Sequence[Request]
    ) -> None:
        self.runs: list[Run] = []
        self._requests = requests
        self._checkpoint = checkpoint
        self._ours = OurEngine(checkpoint, tokenizer, CONCURRENCY)
        self._batched = Generate(checkpoint, CONCURRENCY)
        self._requests_per_second = 0.0
        warm = [replace(request, tokens=4) for request in requests[:CONCURRENCY]]
        for contender in (self._ours, self._batched):
            contender.play(warm, [0.0] * len(warm))

    def throughput(self, rounds: int) -> dict[str, float]:
        """All requests are there at once."""
        at_once = [0.0] * len(self._requests)
        self._batched = self._best_batch(at_once)
        # One by one, a third of the requests says as much as all: lengths of all kinds.
        few = self._requests[::3]
        alone = Generate(self._checkpoint, 1)
        sequential, batched = [], []
        for _ in range(rounds):
            one = self._note("sequential", alone.play(few, at_once[::3]))
            ours = self._note("ours", self._ours.play(self._requests, at_once))
            many = self._note("batched", self._batched.play(self._requests, at_once))
            sequential.append((rate(ours), rate(one)))
            batched.append((rate(ours), rate(many)))
            self._requests_per_second = len(self._requests) / many.seconds
            self._compare("ours and sequential", ours.answers[::3], one.answers)
            self._compare("ours and batched", ours.answers, many.answers)
        return {
            "tokens_per_s_vs_sequential": median_ratio(sequential),
            "tokens_per_s_vs_batched": median_ratio(batched),
        }

    def first_token(self, rounds: int) -> dict[str, float]:
        """The requests arrive one after the other, at random."""
        pairs, last = [], []
        for number in range(rounds):
            arrivals = poisson(len(self._requests), LOAD * self._requests_per_second, number)
            ours = self._note("ours, arriving", self._ours.play(self._requests, arrivals))
            many = self._note("batched, arriving", self._batched.play(self._requests, arrivals))
            firsts = [
                quantile([answer.first_seconds for answer in played.answers], 0.95)
                for played in (ours, many)
            ]
            pairs.append((firsts[0], firsts[1]))
            last = [("ours", ours.answers), ("batched generate()", many.answers)]
        say(latency_plot(last))
        return {"ttft_p95_vs_batched": median_ratio(pairs)}

    def _best_batch(self, at_once: Arrivals) -> Generate:
        found = []
        for size in BATCH_SIZES:
            contender = Generate(self._checkpoint, size)
            played = self._note(f"batched, {size}", contender.play(self._requests, at_once))
            found.append((rate(played), size, contender))
        return max(found)[2]

    def _note(self, what: str, played: Played) -> Played:
        run: Run = {
            "what": what,
            "requests": len(played.answers),
            "tokens_per_s": round(played.tokens / played.seconds, 1),
            "tokens_per_cpu_s": round(rate(played), 1),
        }
        for name in ("first_seconds", "total_seconds"):
            values = [float(getattr(answer, name)) for answer in played.answers]
            for share in (0.5, 0.95):
                run[f"{name}_p{share * 100:.0f}"] = round(quantile(values, share), 4)
        self.runs.append(run)
        say(str(run))
        return played

    def _compare(self, what: str, some: Sequence[Answer], others: Sequence[Answer]) -> None:
        equal = sum(
            one.token_ids == other.token_ids for one, other in zip(some, others, strict=True)
        )
        self.runs.append({"what": f"equal answers: {what}", "equal": equal, "of": len(some)})
        say(str(self.runs[-1]))


def rate(played: Played) -> float:
    """Tokens per second of CPU: what other load on the machine hardly moves."""
    return played.tokens / played.cpu_seconds


def poisson(count: int, per_second: float, seed: int) -> Arrivals:
    """Times of independent arrivals, from 0, in seconds."""
    random, now = Random(seed), 0.0
    times = []
    for _ in range(count):
        times.append(now)
        now += random.expovariate(per_second)
    return times


def latency_plot(contenders: Sequence[tuple[str, Sequence[Answer]]]) -> str:
    """One line per request, quickest first: to the first token dots, to the last one hashes."""
    longest = max(answer.total_seconds for _, answers in contenders for answer in answers)
    lines = []
    for name, answers in contenders:
        lines.append(f"{name}: to the first token (.) and the last one (#), {longest:.1f} s wide")
        for answer in sorted(answers, key=lambda answer: answer.total_seconds):
            first, last = (
                round(72 * seconds / longest)
                for seconds in (answer.first_seconds, answer.total_seconds)
            )
            lines.append("." * first + "#" * max(1, last - first))
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
