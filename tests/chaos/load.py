"""Clients that never retry: requests with known answers, sent on and on while faults are fired."""

import asyncio
import json
import time
from dataclasses import dataclass, field
from typing import Any

import openai

from tests.chaos.texts import CHINESE, ENGLISH

TIMEOUT_SECONDS = 120.0


@dataclass(frozen=True)
class Case:
    """One request, and how its answer is delivered."""

    name: str
    body: dict[str, Any]


@dataclass(frozen=True)
class Answer:
    """What a client saw."""

    text: str
    finish_reason: str | None
    completion_tokens: int
    done: bool


@dataclass(eq=False)
class Flight:
    """A request under way, as its client sees it."""

    case: Case
    streaming: bool
    expected_tokens: int
    began_at: float
    pieces: int = 0
    last_at: float = 0.0
    gap_seconds: float = 0.0

    def piece(self) -> None:
        now = time.monotonic()
        if self.pieces:
            self.gap_seconds = max(self.gap_seconds, now - self.last_at)
        self.pieces, self.last_at = self.pieces + 1, now


@dataclass(eq=False)
class Report:
    """What all clients saw together."""

    completed: int = 0
    failures: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    longest_gap_seconds: float = 0.0
    longest_request_seconds: float = 0.0


def text_part(text: str) -> dict[str, str]:
    return {"type": "text", "text": text}


def cases() -> list[Case]:
    """Greedy and sampled, text and pages, two languages; long enough to be hit in the middle."""
    document = [
        {"type": "text", "text": ENGLISH[:1500]},
        {"type": "text", "text": "What is said here?"},
    ]
    poem = [text_part(CHINESE[:600]), text_part("这里说了什么?")]
    pages = {"glyph": {"mode": "always"}}
    texts = {"glyph": {"mode": "never"}}

    def case(
        name: str, content: object, tokens: int, extra: dict[str, Any], **sampling: Any
    ) -> Case:
        messages = [{"role": "user", "content": content}]
        body = {"messages": messages, "model": "glyph", "max_tokens": tokens, "extra_body": extra}
        return Case(name, {**body, **sampling})

    return [
        case("greedy-text", ENGLISH[:400], 300, texts, temperature=0),
        case("greedy-pages", document, 260, pages, temperature=0),
        case("greedy-poem", poem, 240, pages, temperature=0),
        case("sampled-text", ENGLISH[500:900], 320, texts, temperature=0.8, top_p=0.9, seed=11),
        case("sampled-pages", document, 280, pages, temperature=1.0, seed=12),
        case("sampled-poem", CHINESE[600:800], 200, texts, temperature=0.7, seed=13),
    ]


async def ask_plain(client: openai.AsyncOpenAI, flight: Flight) -> Answer:
    answer = await client.chat.completions.create(**flight.case.body)
    choice = answer.choices[0]
    assert answer.usage is not None
    text = choice.message.content or ""
    return Answer(text, choice.finish_reason, answer.usage.completion_tokens, done=True)


async def ask_stream(client: openai.AsyncOpenAI, flight: Flight) -> Answer:
    """Read the stream line by line, so that its end (`[DONE]`) is seen, not taken for granted."""
    text, finish, tokens, done = "", None, 0, False
    options = {"stream": True, "stream_options": {"include_usage": True}}
    ask = client.chat.completions.with_streaming_response
    async with ask.create(**flight.case.body, **options) as response:
        async for line in response.iter_lines():
            if not line.startswith("data: "):
                continue
            if line == "data: [DONE]":
                done = True
                continue
            event = json.loads(line.removeprefix("data: "))
            if "error" in event:
                raise RuntimeError(f"error event: {event['error']}")
            for choice in event["choices"]:
                text += choice["delta"].get("content") or ""
                finish = choice["finish_reason"] or finish
            if event.get("usage"):
                tokens = event["usage"]["completion_tokens"]
            flight.piece()
    return Answer(text, finish, tokens, done)


class Load:
    """Eight clients, four of them streaming, until told to stop."""

    def __init__(self, url: str, expected: dict[str, Answer]) -> None:
        self.expected = expected
        self.report = Report()
        self.flights: set[Flight] = set()
        self._stopped = asyncio.Event()
        self._client = make_client(url)

    async def run(self, streams: int = 4, plain: int = 4) -> Report:
        async with asyncio.TaskGroup() as group:
            for number in range(streams + plain):
                group.create_task(self._one_client(number, streaming=number < streams))
        await self._client.close()
        return self.report

    def stop(self) -> None:
        self._stopped.set()

    async def completed(self, count: int, seconds: float) -> None:
        """Wait until so many more requests are complete, or so long."""
        goal, end = self.report.completed + count, time.monotonic() + seconds
        while self.report.completed < goal and time.monotonic() < end:
            await asyncio.sleep(0.05)

    def in_flight(self) -> int:
        return len(self.flights)

    def mid_stream(self, tokens_to_come: int = 16) -> int:
        """Streams that have begun and have so many tokens to come (a piece has at least one)."""
        return sum(
            1
            for flight in self.flights
            if flight.streaming
            and flight.pieces >= 4
            and flight.expected_tokens - flight.pieces >= tokens_to_come
        )

    async def _one_client(self, number: int, *, streaming: bool) -> None:
        turn = number
        while not self._stopped.is_set():
            case = ALL[turn % len(ALL)]
            turn += 1
            await self._one_request(case, streaming=streaming)

    async def _one_request(self, case: Case, *, streaming: bool) -> None:
        known = self.expected[case.name]
        flight = Flight(case, streaming, known.completion_tokens, time.monotonic())
        self.flights.add(flight)
        try:
            ask = ask_stream if streaming else ask_plain
            answer = await ask(self._client, flight)
        except Exception as error:  # noqa: BLE001 - whatever a client meets is a failed request
            self.report.failures.append(f"{case.name}: {type(error).__name__}: {error}")
        else:
            self.report.completed += 1
            if answer != known:
                self.report.wrong.append(describe(case, known, answer))
        finally:
            self.flights.discard(flight)
            spent = time.monotonic() - flight.began_at
            report = self.report
            report.longest_gap_seconds = max(report.longest_gap_seconds, flight.gap_seconds)
            report.longest_request_seconds = max(report.longest_request_seconds, spent)


def describe(case: Case, known: Answer, answer: Answer) -> str:
    same = 0
    for ours, theirs in zip(known.text, answer.text, strict=False):
        if ours != theirs:
            break
        same += 1
    return (
        f"{case.name}: same for {same} of {len(known.text)} characters, got {len(answer.text)}; "
        f"{answer.finish_reason} {answer.completion_tokens} done={answer.done}, "
        f"expected {known.finish_reason} {known.completion_tokens}"
    )


def make_client(url: str) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(
        base_url=f"{url}/v1", api_key="none", max_retries=0, timeout=TIMEOUT_SECONDS
    )


async def answers_without_faults(url: str) -> dict[str, Answer]:
    """Each request alone, before anything is broken: what every later answer must equal."""
    client = make_client(url)
    known = {}
    for case in ALL:
        flight = Flight(case, streaming=True, expected_tokens=0, began_at=time.monotonic())
        known[case.name] = await ask_stream(client, flight)
    await client.close()
    return known


ALL = cases()
