"""What the routes know of the worker they belong to."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from enum import StrEnum

from inference.batching.chat import Usage
from inference.batching.loop import EngineThread
from inference.batching.progress import ProgressFile
from inference.batching.service import Service
from inference.config import InferenceConfig
from inference.engine.values import EngineFacts
from inference.errors import RequestError


class Status(StrEnum):
    """How far the worker is; the words are those of /health."""

    LOADING = "loading"
    WARMING = "warming"
    READY = "ready"
    DRAINING = "draining"
    STOPPING = "stopping"


@dataclass(slots=True)
class Fence:
    """Which supervisor may command: a lower term than the highest seen is a bygone one."""

    highest: int | None = None
    heard_at: float = field(default_factory=time.monotonic)
    """When a supervisor was last heard, or this worker began."""

    def hear(self, term: int) -> bool:
        """Whether a caller with this term may command; if so its word counts."""
        if self.highest is not None and term < self.highest:
            return False
        self.highest = term
        self.heard_at = time.monotonic()
        return True


@dataclass(frozen=True, slots=True)
class Ready:
    """What exists once the model is loaded."""

    facts: EngineFacts
    service: Service


@dataclass(slots=True)
class Counts:
    """Requests since the process began; belongs to the event loop."""

    outcomes: dict[str, int] = field(default_factory=dict)
    """By `completed`, `cancelled` or error code: as many keys as there are codes."""
    text_tokens: int = 0
    visual_tokens: int = 0
    pages: int = 0
    images: int = 0

    def admitted(self, usage: Usage) -> None:
        """A request has a slot."""
        self.text_tokens += usage.prompt_tokens - usage.facts.visual_tokens
        self.visual_tokens += usage.facts.visual_tokens
        self.pages += usage.facts.pages
        self.images += usage.facts.images

    def ended(self, outcome: str) -> None:
        """A request is over, well or not."""
        self.outcomes[outcome] = self.outcomes.get(outcome, 0) + 1


@dataclass(slots=True)
class Worker:
    """State shared by the routes; belongs to the event loop."""

    config: InferenceConfig
    epoch: str
    progress: ProgressFile
    engine: EngineThread
    fence: Fence = field(default_factory=Fence)
    counts: Counts = field(default_factory=Counts)
    stage: Status = Status.LOADING
    """How far it is, draining apart."""
    draining: bool = False
    """New requests are not wanted; may be said at any stage."""
    ready: Ready | None = None
    began_at: float = field(default_factory=time.monotonic)

    def admitting(self) -> Ready:
        """Raises RequestError while new requests are not taken."""
        if self.draining or self.stage is Status.STOPPING:
            raise RequestError("draining", "this worker takes no new requests")
        if self.ready is None or self.stage is not Status.READY:
            raise RequestError("loading", "the model is not ready yet")
        return self.ready

    @property
    def status(self) -> Status:
        """The word of /health."""
        return Status.DRAINING if self.draining and self.stage is Status.READY else self.stage

    @property
    def in_flight(self) -> int:
        """Requests in the worker."""
        return self.ready.service.in_flight if self.ready else 0
