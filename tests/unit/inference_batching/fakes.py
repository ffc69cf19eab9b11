"""An engine without a model: token i is a function of prompt and i, and faults come on order."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from inference.batching.loop import News
from inference.batching.request import Admitted, Failed, Generation, Job, Progress
from inference.batching.text import AnswerText
from inference.engine.values import (
    Engine,
    EngineFacts,
    ImagePlace,
    MemoryUse,
    Pixels,
    Prompt,
    Sampling,
    Token,
)

END = 0
Fault = Callable[[str, int], None]
"""Called with the name of the call and the number of that call; may raise."""


def expected(prompt: Prompt, count: int, begin: int = 0) -> list[int]:
    """What FakeEngine answers."""
    return [1 + (sum(prompt.token_ids) * 7 + index * 13) % 89 for index in range(begin, count)]


@dataclass
class FakeEngine:
    slots: int = 2
    length: int = 256
    fault: Fault = field(default=lambda _call, _number: None)
    calls: list[tuple[str, object]] = field(default_factory=list)
    invalid: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.facts = EngineFacts(
            "fake", "f" * 16, self.slots, self.length, 1000, frozenset({END}), Sampling()
        )
        self._open: dict[int, tuple[Prompt, int, int]] = {}

    def _call(self, name: str, detail: object) -> None:
        number = sum(call == name for call, _ in self.calls)
        self.calls.append((name, detail))
        self.fault(name, number)

    def open(self, slot: int, prompt: Prompt, emitted: Sequence[int], sampling: Sampling) -> None:
        assert slot not in self._open
        self._call("open", slot)
        self._open[slot] = (prompt, len(emitted), 0)

    def see(self, slot: int, image: int, pixels: Pixels) -> None:
        self._call("see", (slot, image))

    def prefill(self, slot: int, count: int) -> Token | None:
        self._call("prefill", (slot, count))
        prompt, drawn, filled = self._open[slot]
        self._open[slot] = (prompt, drawn, filled + count)
        return self._token(slot) if filled + count >= len(prompt.token_ids) + drawn else None

    def decode(self, slots: Sequence[int]) -> list[Token]:
        self._call("decode", tuple(slots))
        return [self._token(slot) for slot in slots]

    def _token(self, slot: int) -> Token:
        prompt, drawn, filled = self._open[slot]
        self._open[slot] = (prompt, drawn + 1, filled)
        token = expected(prompt, drawn + 1, drawn)[0]
        return Token(slot, token, None, valid=slot not in self.invalid)

    def close(self, slot: int) -> None:
        self._call("close", slot)
        self._open.pop(slot, None)

    def reclaim(self) -> None:
        self._call("reclaim", None)

    def memory(self) -> MemoryUse:
        return MemoryUse(None, {"open_slots": len(self._open)})


class FakeOffice:
    """Keeps all news; `wait` blocks until a condition on them holds."""

    def __init__(self) -> None:
        self.news: list[News] = []
        self.engine: Engine | None = None
        self.error: Exception | None = None
        self.rendering: int | None = None
        self._changed = threading.Condition()

    def loaded(self, engine: Engine) -> None:
        with self._changed:
            self.engine = engine
            self._changed.notify_all()

    def post(self, news: Sequence[News]) -> None:
        with self._changed:
            self.news += news
            self._changed.notify_all()

    def failed(self, error: Exception) -> None:
        with self._changed:
            self.error = error
            self._changed.notify_all()

    def rendering_since_ns(self) -> int | None:
        return self.rendering

    def wait(self, condition: Callable[[], bool]) -> None:
        with self._changed:
            assert self._changed.wait_for(condition, timeout=30), (self.news[-3:], self.error)

    def steps(self, request_id: str) -> list[Progress]:
        return [e for name, e in self.news if name == request_id and isinstance(e, Progress)]

    def ended(self, request_id: str) -> bool:
        steps = self.steps(request_id)
        return bool(steps and steps[-1].finish_reason) or self.failure(request_id) is not None

    def failure(self, request_id: str) -> Failed | None:
        failures = [e for name, e in self.news if name == request_id and isinstance(e, Failed)]
        return failures[0] if failures else None

    def admitted(self, request_id: str) -> bool:
        return any(name == request_id and isinstance(e, Admitted) for name, e in self.news)

    def tokens(self, request_id: str) -> list[int]:
        return [token for step in self.steps(request_id) for token in step.token_ids]


def job(
    name: str,
    ids: Sequence[int] = (5, 6, 7),
    max_new_tokens: int = 4,
    images: Sequence[ImagePlace] = (),
    *,
    emitted: Sequence[int] = (),
    stops: Sequence[str] = (),
) -> Job:
    text = AnswerText(lambda token: bytes([33 + token % 90]), stops, frozenset({END}))
    text.replay(emitted)
    prompt = Prompt(tuple(ids), tuple(images))
    pages = deque(np.zeros((p.rows * 28, p.columns * 28, 3), np.uint8) for p in images)
    generation = Generation(name, prompt, Sampling(), max_new_tokens)
    return Job(generation, text, list(emitted), pages, len(ids) + len(emitted))
