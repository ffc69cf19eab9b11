"""Who computes next: plan, then commit, over two bounded collections.

Pure: no torch, no threads, no clock. Waiting jobs take free slots first come, first served. A step
advances prompts by at most a budget of tokens (a page counts with its visual tokens, and at least
one piece of work is done), then every slot whose prompt is complete decodes one token; so running
answers keep flowing however long the prompts of others are.
"""

from __future__ import annotations

import heapq
from collections import deque
from dataclasses import dataclass

from inference.batching.request import Job


@dataclass(frozen=True, slots=True)
class See:
    """Run the next page of a job through the vision tower."""

    job: Job


@dataclass(frozen=True, slots=True)
class Fill:
    """Compute the next `count` tokens of a job's prompt."""

    job: Job
    count: int


@dataclass(frozen=True, slots=True)
class Plan:
    """The work of one engine step."""

    prompts: tuple[See | Fill, ...]
    decode: tuple[Job, ...]

    def __bool__(self) -> bool:
        return bool(self.prompts or self.decode)


class Scheduler:
    """Jobs waiting and jobs in slots."""

    def __init__(self, slots: int, waiting_limit: int, tokens_per_step: int) -> None:
        self._free = list(range(slots))
        self._waiting_limit = waiting_limit
        self._tokens_per_step = tokens_per_step
        self._waiting: deque[Job] = deque()
        self._running: dict[int, Job] = {}

    def __len__(self) -> int:
        return len(self._waiting) + len(self._running)

    @property
    def running(self) -> tuple[Job, ...]:
        """Jobs in slots, oldest first."""
        return tuple(self._running.values())

    def submit(self, job: Job) -> bool:
        """Take a job in; False when as many wait as may."""
        if len(self._waiting) >= self._waiting_limit:
            return False
        self._waiting.append(job)
        return True

    def admit(self) -> list[Job]:
        """Give free slots, lowest first, to the jobs that waited longest."""
        admitted = []
        while self._free and self._waiting:
            job = self._waiting.popleft()
            job.slot = heapq.heappop(self._free)
            self._running[job.slot] = job
            admitted.append(job)
        return admitted

    def find(self, request_id: str) -> Job | None:
        """The job of a request, wherever it is."""
        jobs = (*self._running.values(), *self._waiting)
        return next((job for job in jobs if job.id == request_id), None)

    def remove(self, job: Job) -> None:
        """Forget a job; its slot is free at once."""
        if job.slot < 0:
            self._waiting.remove(job)
            return
        del self._running[job.slot]
        heapq.heappush(self._free, job.slot)
        job.slot = -1

    def plan(self) -> Plan:
        """The work of the next step."""
        budget = self._tokens_per_step
        prompts: list[See | Fill] = []
        for job in self._running.values():
            if job.decoding or (prompts and budget <= 0):
                continue
            work, cost = self._advance(job, max(1, budget))
            prompts.append(work)
            budget -= cost
        decode = tuple(job for job in self._running.values() if job.decoding)
        return Plan(tuple(prompts), decode)

    @staticmethod
    def _advance(job: Job, budget: int) -> tuple[See | Fill, int]:
        if job.pages:
            return See(job), job.generation.prompt.images[job.images_seen].tokens
        count = min(budget, job.to_fill - job.filled)
        return Fill(job, count), count
