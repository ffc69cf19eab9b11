"""The one engine thread: takes messages, plans a step, runs it, sends news, marks its progress.

Every call of the model happens here. What goes wrong for one request ends that request; what goes
wrong for the engine ends the process, since a new one is the only cure.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from inference.batching.meter import EngineMeter
from inference.batching.progress import Phase, ProgressFile
from inference.batching.request import Admitted, Event, Failed, FinishReason, Job, Progress
from inference.batching.scheduler import Fill, Scheduler, See
from inference.engine.values import (
    Engine,
    EngineError,
    MemoryUse,
    OutOfMemoryError,
    Token,
)
from inference.errors import RequestError

BEAT_SECONDS = 0.5
FAILURES_IN_A_ROW = 3
"""So many requests failing one after another, with no token between, condemn the engine."""

_R = TypeVar("_R")
_log = logging.getLogger(__name__)

News = tuple[str, Event]
"""Request id and what happened to it."""


class Office(Protocol):
    """Where the engine thread reports; every method is called on the engine thread."""

    def loaded(self, engine: Engine) -> None:
        """The engine can take requests."""
        ...

    def post(self, news: Sequence[News]) -> None:
        """What one step brought."""
        ...

    def failed(self, error: Exception) -> None:
        """The engine cannot go on; the process should end."""
        ...

    def rendering_since_ns(self) -> int | None:
        """Monotonic time at which the drawing under way began, if there is one."""
        ...


@dataclass(frozen=True, slots=True)
class Settings:
    """Bounds of the loop."""

    waiting_limit: int
    prefill_tokens_per_step: int


class EngineThread:
    """Owner of engine and scheduler. Other threads only put messages into its inbox."""

    def __init__(
        self, load: Callable[[], Engine], office: Office, progress: ProgressFile, settings: Settings
    ) -> None:
        self._load = load
        self._office = office
        self._progress = progress
        self._settings = settings
        # Bounded by those who send: one submission and one cancellation per admitted request.
        self._inbox: queue.SimpleQueue[Job | str] = queue.SimpleQueue()
        self._news: list[News] = []
        self._failures = 0
        self.memory = MemoryUse(None, {})
        """Taken twice a second while idle and after every request."""
        self.meter = EngineMeter()
        self.idle_phase = Phase.WARMING
        """What having nothing to do is called."""
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)

    def start(self) -> None:
        """Begin loading."""
        self._thread.start()

    def submit(self, job: Job) -> None:
        """Hand a job over; the caller must not touch it any more."""
        self._inbox.put(job)

    def cancel(self, request_id: str) -> None:
        """Stop computing a request; its slot is free with the next step."""
        self._inbox.put(request_id)

    def _run(self) -> None:
        try:
            self._progress.enter(Phase.LOADING)
            self._engine = self._load()
            facts = self._engine.facts
            self._scheduler = Scheduler(
                facts.slots,
                self._settings.waiting_limit,
                min(self._settings.prefill_tokens_per_step, facts.length),
            )
            self._office.loaded(self._engine)
            while True:
                self._step()
        except Exception as error:  # noqa: BLE001  # whatever it is, the process has to be told
            self._office.failed(error)

    def _step(self) -> None:
        """One turn: messages, admissions, prompts, decoding, news."""
        self._take_messages()
        for job in self._scheduler.admit():
            self._begin(job)
        plan = self._scheduler.plan()
        if not plan:
            self._idle()
            return
        self._send_news()
        for work in plan.prompts:
            self._advance(work)
        if plan.decode:
            self._decode(plan.decode)
        self._progress.stepped(len(self._scheduler))
        self._send_news()

    def _take_messages(self) -> None:
        while True:
            try:
                message = self._inbox.get_nowait()
            except queue.Empty:
                return
            self._take_message(message)

    def _take_message(self, message: Job | str) -> None:
        if isinstance(message, str):
            job = self._scheduler.find(message)
            if job is not None:
                self._release(job)
        elif not self._scheduler.submit(message):
            self._fail(message, RequestError("queue_full", "too many requests are waiting"))

    def _idle(self) -> None:
        """Wait for a message, showing a sign of life."""
        self._send_news()
        rendering = self._office.rendering_since_ns()
        if rendering is None:
            self._progress.enter(self.idle_phase)
        else:
            self._progress.enter(Phase.RENDERING, began_ns=rendering)
        self._progress.stepped(0)
        self.memory = self._engine.memory()
        try:
            self._take_message(self._inbox.get(timeout=BEAT_SECONDS))
        except queue.Empty:
            return

    def _begin(self, job: Job) -> None:
        self._news.append((job.id, Admitted()))
        generation = job.generation
        try:
            self._engine.open(job.slot, generation.prompt, job.emitted, generation.sampling)
        except EngineError as error:
            self._blame(job, error)

    def _advance(self, work: See | Fill) -> None:
        job = work.job
        try:
            if isinstance(work, See):
                self._see(job)
            else:
                self._fill(job, work.count)
        except EngineError as error:
            self._blame(job, error)

    def _see(self, job: Job) -> None:
        pixels = job.pages[0]
        self._progress.enter(Phase.VISION, pixels.shape[0] * pixels.shape[1] // 14**2)
        with self.meter.vision.timed():
            self._retrying(lambda: self._engine.see(job.slot, job.images_seen, pixels))
        job.pages.popleft()
        job.images_seen += 1

    def _fill(self, job: Job, count: int) -> None:
        self._progress.enter(Phase.PREFILL, count)
        with self.meter.prefill.timed():
            token = self._retrying(lambda: self._engine.prefill(job.slot, count))
        job.filled += count
        if token is not None:
            self._take_token(job, token)

    def _decode(self, jobs: Sequence[Job]) -> None:
        self._progress.enter(Phase.DECODE, len(jobs))
        slots = [job.slot for job in jobs]
        with self.meter.decode.timed():
            tokens = self._retrying(lambda: self._engine.decode(slots))
        for job, token in zip(jobs, tokens, strict=True):
            self._take_token(job, token)

    def _retrying(self, call: Callable[[], _R]) -> _R:
        """Run `call`, a second time after giving memory back if there was too little."""
        try:
            return call()
        except OutOfMemoryError as error:
            _log.warning("out of memory, trying again: %s", error)
        # Outside the handler: an exception in flight keeps the tensors of its frames alive.
        self._engine.reclaim()
        return call()

    def _take_token(self, job: Job, token: Token) -> None:
        if not token.valid:
            self._blame(job, EngineError("the model's output is not a number"))
            return
        self._failures = 0
        self.meter.tokens += 1
        index = len(job.emitted)
        job.emitted.append(token.token_id)
        text = job.unsent + job.text.push(token.token_id)
        job.unsent = ""
        reason: FinishReason | None = "stop" if job.text.ended else None
        if reason is None and len(job.emitted) >= job.generation.max_new_tokens:
            text += job.text.finish()
            reason = "length"
        released = job.text.released_bytes
        told = () if token.logprobs is None else (token.logprobs,)
        step = Progress(index, (token.token_id,), text, released, reason, told)
        self._news.append((job.id, step))
        if reason is not None:
            self._release(job)

    def _blame(self, job: Job, error: EngineError) -> None:
        """End one request that could not be computed."""
        _log.error("request %s failed: %s", job.id, error)
        self._failures += 1
        if self._failures >= FAILURES_IN_A_ROW:
            raise error
        self._fail(job, RequestError("engine_error", "the model could not compute this request"))
        self._release(job)

    def _fail(self, job: Job, error: RequestError) -> None:
        self._news.append((job.id, Failed(error)))

    def _release(self, job: Job) -> None:
        if job.slot >= 0:
            self._engine.close(job.slot)
        self._scheduler.remove(job)
        self.memory = self._engine.memory()

    def _send_news(self) -> None:
        if self._news:
            news, self._news = self._news, []
            self._office.post(news)
