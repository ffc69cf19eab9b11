"""Random schedules: who joins when, who leaves, is cancelled or comes back with what it had.

`Conductor` plays one on a running EngineThread. It acts where the news of a step arrive, on the
engine thread itself, so a schedule goes the same way every time it is played.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from inference.batching.loop import EngineThread, News, Settings
from inference.batching.progress import ProgressFile
from inference.batching.request import Failed, Generation, Job, Progress
from inference.batching.text import AnswerText
from inference.engine.values import Engine
from tests.unit.inference_batching.truth import CLOSE, Asked, truth
from tests.unit.inference_engine import oracle


@dataclass(frozen=True, slots=True)
class Visit:
    """One request's part in a schedule."""

    asked: Asked
    count: int
    """Length of the whole answer."""
    begin: int
    """The first time it comes with so many tokens of the answer."""
    cuts: tuple[int, ...]
    """Lengths of the answer at which it is cancelled; it comes back at once, but not after -1."""
    join: int
    """It joins when the schedule has brought so many tokens."""


@dataclass(slots=True)
class _Client:
    """A visit under way."""

    visit: Visit
    tokens: list[int]
    text: str
    text_bytes: int
    attempt: int = 0
    gone: bool = False


def random_visits(source: Random, pool: Sequence[Asked], longest: int) -> list[Visit]:
    """The requests of one schedule; two may be the same."""
    visits = []
    for number in range(source.randint(3, 7)):
        count = source.randint(2, longest)
        begin = source.randint(1, count - 1) if source.random() < 0.25 else 0
        places = range(begin + 1, count)
        cuts = sorted(source.sample(places, min(len(places), source.choice((0, 0, 1, 2)))))
        if cuts and source.random() < 0.3:
            cuts.append(-1)
        join = 0 if number == 0 else source.choice((0, source.randint(0, 60)))
        visits.append(Visit(source.choice(pool), count, begin, tuple(cuts), join))
    return visits


class Conductor:
    """The office of an engine thread that plays schedules on it, one after the other."""

    def __init__(self, kind: str, slots: int, prefill_tokens_per_step: int) -> None:
        self.ties = 0
        """Answers that parted from the truth where two tokens were equally likely."""
        self._kind = kind
        self._done = threading.Event()
        self._error: Exception | None = None
        self._clients: dict[str, _Client] = {}
        self._later: list[Visit] = []
        self._brought = self._serial = 0
        self._loop = EngineThread(
            lambda: oracle.engine(kind, slots),
            self,
            ProgressFile(None, "0" * 32),
            Settings(64, prefill_tokens_per_step),
        )
        self._loop.start()
        self._wait()

    def play(self, visits: Sequence[Visit]) -> None:
        """Play a schedule to its end; AssertionError if an answer was not the true one."""
        for visit in visits:
            truth(visit.asked, self._kind)  # not on the engine thread: its deadlines are ours
        self._later = sorted(visits[1:], key=lambda visit: visit.join)
        self._brought = 0
        self._done.clear()
        self._join(visits[0])
        self._wait()

    def _wait(self) -> None:
        assert self._done.wait(60), "the schedule came to a stop"
        if self._error is not None:
            raise self._error

    def loaded(self, engine: Engine) -> None:
        """See Office."""
        self._done.set()

    def rendering_since_ns(self) -> int | None:
        """See Office."""
        return None

    def failed(self, error: Exception) -> None:
        """See Office; also what is wrong in the news arrives here."""
        self._error = error
        self._done.set()

    def post(self, news: Sequence[News]) -> None:
        """See Office; takes what was brought, then lets requests leave, return and join."""
        for name, event in news:
            assert not isinstance(event, Failed), event.error
            client = self._clients.get(name)
            if client is not None and isinstance(event, Progress):
                self._take(name, client, event)
        while self._later and (self._later[0].join <= self._brought or not self._clients):
            self._join(self._later.pop(0))
        if not self._clients:
            self._done.set()

    def _take(self, name: str, client: _Client, event: Progress) -> None:
        assert event.index == len(client.tokens)
        client.tokens += event.token_ids
        client.text += event.text
        client.text_bytes = event.text_bytes
        self._brought += len(event.token_ids)
        visit = client.visit
        if event.finish_reason is not None:
            assert len(client.tokens) == visit.count
            self._check(client, whole=True)
            del self._clients[name]
        elif len(client.tokens) in visit.cuts:
            self._check(client, whole=False)
            self._loop.cancel(name)
            del self._clients[name]
            if visit.cuts[-1] != -1 or len(client.tokens) != visit.cuts[-2]:
                self._submit(client)

    def _check(self, client: _Client, *, whole: bool) -> None:
        true = truth(client.visit.asked, self._kind)
        for place, token_id in enumerate(client.tokens):
            if token_id != true.token_ids[place]:
                assert true.margins[place] < CLOSE, f"token {place} of {client.visit}"
                self.ties += 1
                return
        if whole and client.visit.begin == 0:
            pieces = b"".join(oracle.tokenizer().piece(token) for token in client.tokens)
            assert client.text == pieces.decode("utf-8", "replace")

    def _join(self, visit: Visit) -> None:
        tokens = list(truth(visit.asked, self._kind).token_ids[: visit.begin])
        self._submit(_Client(visit, tokens, "", -1))

    def _submit(self, client: _Client) -> None:
        self._serial += 1
        name, asked = f"r{self._serial}", client.visit.asked
        prompt = asked.prompt()
        text = AnswerText(oracle.tokenizer().piece, (), frozenset())
        released = text.replay(client.tokens)
        self._clients[name] = client
        self._loop.submit(
            Job(
                Generation(name, prompt, asked.sampling, client.visit.count),
                text,
                list(client.tokens),
                deque(asked.pages()),
                len(prompt.token_ids) + len(client.tokens),
                # What was released but never sent; a first coming with tokens has had its text.
                unsent=released[len(client.text) :] if client.text_bytes >= 0 else "",
            )
        )
