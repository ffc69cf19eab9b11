"""Who answers the requests of `benchmarks.engine`: our engine thread, and transformers' generate().

All take the same prompts and drawn pages, greedy, in fp32, with the same number of threads. What
generate() is given is as favourable as can be: pages through our own patchify, which is faster
than the library's processor, and a first token that counts from the moment it is computed, though
generate() would only show it in the end.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from transformers import StoppingCriteria, StoppingCriteriaList

from inference.batching.loop import EngineThread, News, Settings
from inference.batching.progress import ProgressFile
from inference.batching.request import Failed, Generation, Job, Progress
from inference.batching.text import AnswerText
from inference.engine.load import Checkpoint
from inference.engine.patches import level_table, patchify
from inference.engine.runner import SlotEngine
from inference.engine.tokenizer import ChatTokenizer
from inference.engine.values import Engine, Pixels, Prompt, Sampling

PREFILL_TOKENS_PER_STEP = 1024


@dataclass(frozen=True, slots=True)
class Request:
    """A prompt with its page, and how many tokens its answer has."""

    prompt: Prompt
    page: Pixels
    tokens: int


@dataclass(slots=True)
class Answer:
    """What came back; times in seconds from the arrival of the request."""

    arrived: float
    first_seconds: float = 0.0
    total_seconds: float = 0.0
    token_ids: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Played:
    """A load that was answered."""

    answers: Sequence[Answer]
    seconds: float
    """From the first arrival to the last token."""
    cpu_seconds: float

    @property
    def tokens(self) -> int:
        """Tokens asked for and computed."""
        return sum(len(answer.token_ids) for answer in self.answers)


class Clock:
    """Takes the time of a load."""

    def __init__(self) -> None:
        self.began = time.perf_counter()
        self._cpu = time.process_time()

    def played(self, answers: Sequence[Answer]) -> Played:
        """The load is over."""
        cpu = time.process_time() - self._cpu
        return Played(answers, time.perf_counter() - self.began, cpu)


class OurEngine:
    """The product's engine thread, as the worker runs it, without HTTP."""

    def __init__(self, checkpoint: Checkpoint, tokenizer: ChatTokenizer, slots: int) -> None:
        self._tokenizer = tokenizer
        self._answers: dict[str, Answer] = {}
        self._missing = self._serial = 0
        self._error: Exception | None = None
        self._done = threading.Event()
        self._thread = EngineThread(
            lambda: SlotEngine(checkpoint, slots, 2048),
            self,
            ProgressFile(None, "0" * 32),
            Settings(4096, PREFILL_TOKENS_PER_STEP),
        )
        self._thread.start()
        self._wait()

    def play(self, requests: Sequence[Request], arrivals: Sequence[float]) -> Played:
        """Answer requests that arrive at these seconds."""
        clock = Clock()
        self._missing = len(requests)
        self._done.clear()
        answers = []
        for request, arrival in zip(requests, arrivals, strict=True):
            answers.append(Answer(clock.began + arrival))
            _sleep_until(answers[-1].arrived)
            self._submit(request, answers[-1])
        self._wait()
        return clock.played(answers)

    def _submit(self, request: Request, answer: Answer) -> None:
        self._serial += 1
        name = str(self._serial)
        self._answers[name] = answer
        generation = Generation(name, request.prompt, Sampling(), request.tokens)
        # No token ends an answer: the lengths are those of the load.
        text = AnswerText(self._tokenizer.piece, (), frozenset())
        pages, length = deque([request.page]), len(request.prompt.token_ids)
        self._thread.submit(Job(generation, text, [], pages, length))

    def _wait(self) -> None:
        self._done.wait()
        if self._error is not None:
            raise self._error

    def loaded(self, _engine: Engine) -> None:
        """See Office."""
        self._done.set()

    def rendering_since_ns(self) -> int | None:
        """See Office."""
        return None

    def failed(self, error: Exception) -> None:
        """See Office."""
        self._error = error
        self._done.set()

    def post(self, news: Sequence[News]) -> None:
        """See Office."""
        now = time.perf_counter()
        for name, event in news:
            if isinstance(event, Failed):
                raise event.error
            if not isinstance(event, Progress):
                continue
            answer = self._answers[name]
            if not answer.token_ids:
                answer.first_seconds = now - answer.arrived
            answer.token_ids += event.token_ids
            if event.finish_reason is not None:
                answer.total_seconds = now - answer.arrived
                del self._answers[name]
                self._missing -= 1
        if not self._missing:
            self._done.set()


class Generate:
    """A server around generate(): takes what waits, at most `batch`, and answers it together."""

    def __init__(self, checkpoint: Checkpoint, batch: int) -> None:
        self._model = checkpoint.model
        self._table = level_table(checkpoint.image_mean, checkpoint.image_std)
        self._batch = batch

    def play(self, requests: Sequence[Request], arrivals: Sequence[float]) -> Played:
        """Answer requests that arrive at these seconds, in their order."""
        clock = Clock()
        answers = [Answer(clock.began + arrival) for arrival in arrivals]
        at = 0
        while at < len(requests):
            _sleep_until(answers[at].arrived)
            now = time.perf_counter()
            end = at + 1
            while end < min(len(requests), at + self._batch) and answers[end].arrived <= now:
                end += 1
            self._answer(requests[at:end], answers[at:end])
            at = end
        return clock.played(answers)

    @torch.inference_mode()
    def _answer(self, requests: Sequence[Request], answers: Sequence[Answer]) -> None:
        longest = max(len(request.prompt.token_ids) for request in requests)
        ids, mask, types = torch.zeros((3, len(requests), longest), dtype=torch.long)
        for row, request in enumerate(requests):
            pad = longest - len(request.prompt.token_ids)  # on the left, as generate() wants it
            ids[row, pad:] = torch.tensor(request.prompt.token_ids)
            mask[row, pad:] = 1
            for place in request.prompt.images:
                types[row, pad + place.start : pad + place.start + place.tokens] = 1
        first = _FirstToken()
        found = self._model.generate(
            input_ids=ids,
            attention_mask=mask,
            mm_token_type_ids=types,
            pixel_values=torch.cat([patchify(one.page, self._table) for one in requests]),
            image_grid_thw=torch.tensor([_grid(one.page) for one in requests]),
            max_new_tokens=max(request.tokens for request in requests),
            do_sample=False,
            eos_token_id=None,
            pad_token_id=0,
            stopping_criteria=StoppingCriteriaList([first]),
        )
        now = time.perf_counter()
        for row, (request, answer) in enumerate(zip(requests, answers, strict=True)):
            answer.first_seconds = first.at - answer.arrived
            answer.total_seconds = now - answer.arrived
            answer.token_ids = found[row, longest : longest + request.tokens].tolist()


class _FirstToken(StoppingCriteria):  # type: ignore[misc]  # transformers carries no types
    """Stops nothing; remembers when the first token was there."""

    at = 0.0

    def __call__(self, ids: torch.Tensor, _scores: object, **_: object) -> torch.Tensor:
        self.at = self.at or time.perf_counter()
        return torch.zeros(len(ids), dtype=torch.bool)


def _grid(page: Pixels) -> list[int]:
    return [1, page.shape[0] // 14, page.shape[1] // 14]


def _sleep_until(moment: float) -> None:
    time.sleep(max(0.0, moment - time.perf_counter()))
