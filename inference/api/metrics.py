"""GET /metrics: the worker's counts in Prometheus' text format, version 0.0.4."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping

from starlette.requests import Request
from starlette.responses import Response

from inference.api.worker import Worker
from inference.batching.meter import Histogram
from inference.batching.progress import Phase

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_Sample = tuple[Mapping[str, str], float]


class Page:
    """A page of metrics, written one family after the other."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def counter(self, name: str, about: str, *samples: _Sample) -> None:
        """A family that only grows; the name ends in `_total`."""
        self._family(name, "counter", about, samples)

    def gauge(self, name: str, about: str, *samples: _Sample) -> None:
        """A family that goes up and down."""
        self._family(name, "gauge", about, samples)

    def histogram(self, name: str, about: str, measured: Histogram) -> None:
        """Durations in buckets."""
        self._head(name, "histogram", about)
        counts = measured.cumulative()
        for bound, count in zip((*measured.bounds, "+Inf"), counts, strict=True):
            self._sample(f"{name}_bucket", {"le": str(bound)}, count)
        self._sample(f"{name}_sum", {}, measured.sum_seconds)
        self._sample(f"{name}_count", {}, counts[-1])

    def text(self) -> str:
        """All of it."""
        return "\n".join(self._lines) + "\n"

    def _family(self, name: str, kind: str, about: str, samples: Iterable[_Sample]) -> None:
        self._head(name, kind, about)
        for labels, value in samples:
            self._sample(name, labels, value)

    def _head(self, name: str, kind: str, about: str) -> None:
        self._lines += [f"# HELP {name} {about}", f"# TYPE {name} {kind}"]

    def _sample(self, name: str, labels: Mapping[str, str], value: float) -> None:
        pairs = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
        self._lines.append(f"{name}{{{pairs}}} {value}" if pairs else f"{name} {value}")


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


class Metrics:
    """The route; it reads what is there and waits for nothing."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    async def page(self, _: Request) -> Response:
        """GET /metrics."""
        page = Page()
        _requests(page, self._worker)
        _engine(page, self._worker)
        _memory(page, self._worker)
        return Response(page.text(), media_type=CONTENT_TYPE)


def _requests(page: Page, worker: Worker) -> None:
    counts, service = worker.counts, worker.ready.service if worker.ready else None
    outcomes = [({"outcome": name}, float(n)) for name, n in sorted(counts.outcomes.items())]
    page.counter("glyph_requests_total", "Requests ended, by outcome or error code.", *outcomes)
    page.counter(
        "glyph_prompt_tokens_total",
        "Tokens of the prompts admitted.",
        ({"kind": "text"}, counts.text_tokens),
        ({"kind": "visual"}, counts.visual_tokens),
    )
    page.counter("glyph_pages_total", "Pages drawn.", ({}, counts.pages))
    page.counter("glyph_images_total", "Images of clients shown to the model.", ({}, counts.images))
    busy = service.running if service else 0
    waiting = service.in_flight - busy if service else 0
    page.gauge("glyph_slots", "Requests that can run at once.", ({}, worker.config.active_slots))
    page.gauge("glyph_slots_busy", "Requests that have a slot.", ({}, busy))
    page.gauge("glyph_queue_requests", "Requests that wait for a slot.", ({}, waiting))


def _engine(page: Page, worker: Worker) -> None:
    progress, meter = worker.progress, worker.engine.meter
    page.counter("glyph_completion_tokens_total", "Tokens generated.", ({}, meter.tokens))
    steps = "Steps of the engine, idle beats included."
    page.counter("glyph_engine_steps_total", steps, ({}, progress.step))
    age = (time.monotonic_ns() - progress.stepped_ns) / 1e9
    page.gauge("glyph_engine_step_age_seconds", "Time since the last step.", ({}, age))
    now = progress.phase
    page.gauge(
        "glyph_engine_phase",
        "1 for what the engine is doing.",
        *(({"phase": phase.name.lower()}, int(phase is now)) for phase in Phase),
    )
    page.histogram("glyph_vision_seconds", "One page or image seen.", meter.vision)
    page.histogram("glyph_prefill_seconds", "One piece of a prompt computed.", meter.prefill)
    page.histogram("glyph_decode_seconds", "One decode step over all slots.", meter.decode)


def _memory(page: Page, worker: Worker) -> None:
    memory = worker.engine.memory
    if memory.gpu_bytes is not None:
        page.gauge("glyph_gpu_memory_bytes", "Reserved on the GPU.", ({}, memory.gpu_bytes))
    kinds = [({"kind": name.removesuffix("_bytes")}, n) for name, n in memory.counters.items()]
    page.gauge("glyph_memory_bytes", "Memory by the engine's own account.", *kinds)
    uptime = time.monotonic() - worker.began_at
    page.gauge("glyph_uptime_seconds", "Age of this process.", ({}, uptime))
    facts = worker.ready.facts if worker.ready else None
    about = {"epoch": worker.epoch, "status": worker.status.value}
    about |= {"model": facts.model, "fingerprint": facts.fingerprint} if facts else {}
    page.gauge("glyph_worker_info", "Who this is.", (about, 1))
