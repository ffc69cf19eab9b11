"""Health, models and the supervisor's commands."""

from __future__ import annotations

import time
from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from inference.api.worker import Status, Worker

# So small a memory holds no page beside the words of the template.
_SMALLEST_LENGTH_FOR_A_PAGE = 512
_SMALLEST_DPI = 36


def canary_request(slot_length: int, max_new_tokens_limit: int) -> Mapping[str, object]:
    """The smallest request that goes the whole way: drawing, vision, prompt, decoding."""
    mode = "always" if slot_length >= _SMALLEST_LENGTH_FOR_A_PAGE else "never"
    return {
        "messages": [{"role": "user", "content": "glyph"}],
        "max_tokens": min(2, max_new_tokens_limit),
        "temperature": 0,
        "seed": 0,
        "glyph": {"mode": mode, "dpi": _SMALLEST_DPI},
    }


class Control:
    """Routes that never wait for the engine."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker

    async def health(self, _: Request) -> Response:
        """GET /health."""
        worker = self._worker
        progress, memory, ready = worker.progress, worker.engine.memory, worker.ready
        gpu = memory.gpu_bytes
        service = ready.service if ready else None
        body = {
            "status": worker.status,
            "epoch": worker.epoch,
            "uptime_minutes": round((time.monotonic() - worker.began_at) / 60, 3),
            "gpu_memory_gb": None if gpu is None else round(gpu / 2**30, 3),
            "allocator": dict(memory.counters),
            "slots": {
                "total": worker.config.active_slots,
                "busy": service.running if service else 0,
            },
            "queue": service.in_flight - service.running if service else 0,
            "phase": progress.phase.name.lower(),
            "phase_size": progress.size,
            "step": progress.step,
            "step_age_seconds": round((time.monotonic_ns() - progress.stepped_ns) / 1e9, 3),
            "fingerprint": ready.facts.fingerprint if ready else None,
            "model": ready.facts.model if ready else None,
        }
        unready = worker.status in (Status.LOADING, Status.WARMING)
        return JSONResponse(body, status_code=503 if unready else 200)

    async def models(self, _: Request) -> Response:
        """GET /v1/models."""
        ready = self._worker.ready
        began = int(time.time() - (time.monotonic() - self._worker.began_at))
        models = (
            [
                {
                    "id": ready.facts.model,
                    "object": "model",
                    "created": began,
                    "owned_by": "glyph",
                    "max_model_len": ready.facts.length,
                }
            ]
            if ready
            else []
        )
        return JSONResponse({"object": "list", "data": models})

    async def drain(self, request: Request) -> Response:
        """POST /control/drain: take nothing new, finish what runs."""
        return self._switch(request, True)

    async def undrain(self, request: Request) -> Response:
        """POST /control/undrain: take requests again."""
        return self._switch(request, False)

    def _switch(self, request: Request, draining: bool) -> Response:
        worker = self._worker
        refusal = self._bygone(request)
        if refusal is not None:
            return refusal
        worker.draining = draining
        return JSONResponse(
            {"status": worker.status, "in_flight": worker.in_flight}, status_code=202
        )

    async def canary(self, request: Request) -> Response:
        """GET /control/canary: the request with which to try this worker."""
        refusal = self._bygone(request)
        if refusal is not None:
            return refusal
        config, ready = self._worker.config, self._worker.ready
        length = ready.facts.length if ready else config.kv.length
        return JSONResponse({"request": canary_request(length, config.max_new_tokens_limit)})

    def _bygone(self, request: Request) -> Response | None:
        """The refusal of a supervisor that has been succeeded."""
        if request.scope.get("glyph_term_accepted", True):
            return None
        return JSONResponse({"term": self._worker.fence.highest}, status_code=409)
