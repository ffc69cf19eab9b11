"""Many requests through one engine: `python -m benchmarks.soak [--requests 10000] [--json]`.

Short answers to prompts of all lengths, with and without a page, 16 in the engine at a time, a
twentieth of them cancelled after a token. Memory, descriptors and threads are read at 20 moments;
drift is from the mean of three readings after the warm-up (the first fifth) to that of the last
three.
"""

from __future__ import annotations

import argparse
import os
import sys
import threading
from collections import deque
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from random import Random
from statistics import mean

import numpy as np

from benchmarks.report import Report, Run, emit, machine, rss_bytes, say
from inference.batching.loop import EngineThread, News, Settings
from inference.batching.progress import ProgressFile
from inference.batching.request import Failed, Generation, Job, Progress
from inference.batching.text import AnswerText
from inference.config import EMBEDDED, InferenceConfig, KvConfig
from inference.engine.runner import load_engine
from inference.engine.tokenizer import ChatTokenizer, ImagePart, TextPart, Turn, load_tokenizer
from inference.engine.values import Engine, Pixels, Sampling
from inference.models.checkpoint import ensure_model

IN_FLIGHT = 16
READINGS = 20
AVERAGED = 3


def main(arguments: Sequence[str]) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="1,000 requests")
    parser.add_argument("--json", action="store_true", help="print JSON only")
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--model", default=EMBEDDED, help="checkpoint directory")
    options = parser.parse_args(arguments)
    config = InferenceConfig(model=options.model, kv=KvConfig(slots=8, length=1024))
    emit(soak(config, 1000 if options.quick else options.requests), options.json)
    return 0


def soak(config: InferenceConfig, requests: int) -> Report:
    """Machine, figures and one run per reading."""
    directory = ensure_model(config)
    load = Load(directory, config, requests)
    load.run()
    settled = load.readings[READINGS // 5 :]
    before, after = settled[:AVERAGED], settled[-AVERAGED:]

    def drift(name: str) -> float:
        first, last = (mean(float(str(run[name])) for run in runs) for runs in (before, after))
        return round((last - first) / first, 5)

    figures = {
        "requests": float(load.finished),
        "rss_drift": drift("rss_bytes"),
        "kv_drift": drift("kv_bytes"),
        "thread_growth": float(str(settled[-1]["threads"])) - float(str(settled[0]["threads"])),
        "descriptor_growth": float(str(settled[-1]["descriptors"]))
        - float(str(settled[0]["descriptors"])),
    }
    return {
        "machine": machine() | {"model": directory.name},
        "figures": figures,
        "runs": load.readings,
    }


class Load:
    """Keeps requests in flight until there have been enough; the office of its engine thread."""

    def __init__(self, directory: Path, config: InferenceConfig, requests: int) -> None:
        self.readings: list[Run] = []
        self.finished = 0
        """Requests answered or cancelled."""
        self._requests = requests
        self._tokenizer: ChatTokenizer = load_tokenizer(directory)
        self._random = Random("soak")
        self._names = count()
        self._doomed: set[str] = set()
        self._running: set[str] = set()
        self._error: Exception | None = None
        self._done = threading.Event()
        self._engine = EngineThread(
            lambda: load_engine(directory, config),
            self,
            ProgressFile(None, "0" * 32),
            Settings(IN_FLIGHT, config.prefill_tokens_per_step),
        )

    def run(self) -> None:
        """Play the whole load. Raises what went wrong in the engine."""
        self._engine.start()
        self._done.wait()
        if self._error is not None:
            raise self._error

    def loaded(self, _engine: Engine) -> None:
        """See Office."""
        for _ in range(IN_FLIGHT):
            self._submit()

    def rendering_since_ns(self) -> int | None:
        """See Office."""
        return None

    def failed(self, error: Exception) -> None:
        """See Office."""
        self._error = error
        self._done.set()

    def post(self, news: Sequence[News]) -> None:
        """See Office; every request that ends makes room for another one."""
        for name, event in news:
            if isinstance(event, Failed):
                raise event.error
            if name not in self._running or not isinstance(event, Progress):
                continue
            if name in self._doomed:
                self._engine.cancel(name)
            elif event.finish_reason is None:
                continue
            self._end(name)

    def _end(self, name: str) -> None:
        self._running.discard(name)
        self._doomed.discard(name)
        self.finished += 1
        if self.finished * READINGS // self._requests > len(self.readings):
            self._read()
        if self.finished + len(self._running) < self._requests:
            self._submit()
        elif not self._running:
            self._done.set()

    def _submit(self) -> None:
        name = str(next(self._names))
        self._running.add(name)
        if self._random.random() < 0.05:
            self._doomed.add(name)
        rows, columns = self._random.choice(((0, 0), (0, 0), (1, 4), (3, 5)))
        pages: deque[Pixels] = deque()
        parts: list[ImagePart | TextPart] = []
        if rows:
            pages.append(np.full((28 * rows, 28 * columns, 3), len(name), np.uint8))
            parts.append(ImagePart(rows, columns))
        parts.append(TextPart("to and fro " * self._random.randint(1, 20)))
        prompt = self._tokenizer.encode_chat([Turn("user", tuple(parts))])
        tokens = self._random.randint(1, 8)
        sampling = Sampling(temperature=self._random.choice((0.0, 1.0)), seed=len(name))
        text = AnswerText(self._tokenizer.piece, ("~",), frozenset())
        generation = Generation(name, prompt, sampling, tokens)
        self._engine.submit(Job(generation, text, [], pages, len(prompt.token_ids)))

    def _read(self) -> None:
        reading: Run = {
            "finished": self.finished,
            "rss_bytes": rss_bytes(),
            "kv_bytes": self._engine.memory.counters["kv_bytes"],
            "threads": len(os.listdir("/proc/self/task")),
            "descriptors": len(os.listdir("/proc/self/fd")),
        }
        self.readings.append(reading)
        say(str(reading))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
