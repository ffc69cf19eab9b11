"""What a fake worker answers and how it can misbehave: texts, faults, the progress file."""

import hashlib
import json
import mmap
import os
import struct
import time
from dataclasses import dataclass, field, fields
from pathlib import Path

WORDS = ("river", "größe", "桥", "tower", "🙂", "naïve", "春風", "stone", "é", "light", "mañana")
EOS = 2
PHASES = {"starting": 0, "loading": 1, "warming": 2, "ready": 3, "decode": 7, "stopping": 8}
PROGRESS = struct.Struct("<4sI16sQIIQQQ")


@dataclass(frozen=True, slots=True)
class Faults:
    """What this worker does wrong, and how big and fast it is. Counts are per process."""

    load_seconds: float = 0.0
    warm_seconds: float = 0.0
    never_ready: bool = False
    exit_at_start: int | None = None  # exit code
    token_seconds: float = 0.0
    tokens_per_step: int = 1
    hold_back: bool = False  # release the text of every third token one step late
    stop_at: int | None = None  # end of sequence after so many tokens
    slots: int = 64
    queue: int = 1000
    fingerprint: str = "fake-1"
    die_after_tokens: int | None = None  # over all requests
    die_on: str | None = None  # text in a prompt that kills at its first token
    die_with: str = "SIGKILL"  # a signal's name, or `exit:CODE`
    hang_after_tokens: int | None = None  # no token and no progress from then on; HTTP lives
    break_after_tokens: int | None = None  # end this request's connection, once, cleanly
    late_error_after_tokens: int | None = None  # the error event `engine_error`, once
    half_event_after_tokens: int | None = None  # cut in the middle of an event, once
    stale_epoch: bool = False
    wrong_index_after: int | None = None  # skip one index from then on
    refuse_status: int | None = None
    refuse_code: str = "engine_error"
    refuse_times: int = 1_000_000
    ignore_cancel: bool = False
    ignore_sigterm: bool = False
    health_delay_seconds: float = 0.0
    wrong_text: bool = False  # answers differ from everybody else's
    once: str | None = None  # faults only while this file does not exist; it is created at start
    orphan_seconds: float = 3600.0


_HARMLESS = (
    "load_seconds",
    "warm_seconds",
    "token_seconds",
    "tokens_per_step",
    "hold_back",
    "stop_at",
    "slots",
    "queue",
)


def read_faults(config: object) -> Faults:
    """The faults in a configuration; ValueError for an unknown one."""
    if not isinstance(config, dict):
        raise ValueError("the configuration is no mapping")
    inference = config.get("inference")
    nested = inference.get("fake") if isinstance(inference, dict) else None
    given = {**(nested or {}), **(config.get("fake") or {})}
    unknown = set(given) - {entry.name for entry in fields(Faults)}
    if unknown:
        raise ValueError(f"unknown faults: {sorted(unknown)}")
    once = given.get("once")
    if once is not None:
        if Path(once).exists():
            given = {name: value for name, value in given.items() if name in _HARMLESS}
        else:
            Path(once).touch()
    return Faults(**given)


def token_id(prompt: str, seed: int, index: int) -> int:
    digest = hashlib.sha256(f"{seed}:{index}:".encode() + prompt.encode()).digest()
    return 3 + int.from_bytes(digest[:3], "big")


def token_text(token: int, index: int) -> str:
    if token == EOS:
        return ""
    return (" " if index else "") + WORDS[token % len(WORDS)]


def answer_text(prompt: str, seed: int, tokens: int) -> str:
    """The answer of `tokens` tokens every honest worker gives."""
    return "".join(token_text(token_id(prompt, seed, i), i) for i in range(tokens))


def prompt_of(messages: list[dict]) -> str:
    parts = []
    for message in messages:
        content = message["content"]
        if isinstance(content, list):
            content = "".join(part["text"] for part in content)
        parts.append(f"{message['role']}:{content}")
    return "\n".join(parts)


@dataclass(slots=True)
class Answer:
    """One answer: tokens so far and what of their text is released."""

    prompt: str
    seed: int
    limit: int
    faults: Faults
    ids: list[int]
    text: bytearray = field(default_factory=bytearray)
    last_bytes: int = 0
    logprobs: bool = False

    def __post_init__(self) -> None:
        for index, token in enumerate(self.ids):
            self._append_text(token, index)

    @property
    def finish_reason(self) -> str | None:
        if self.ids and self.ids[-1] == EOS:
            return "stop"
        return "length" if len(self.ids) >= self.limit else None

    def step(self) -> list[int]:
        new: list[int] = []
        while len(new) < self.faults.tokens_per_step and self.finish_reason is None:
            index = len(self.ids)
            token = EOS if index == self.faults.stop_at else token_id(self.prompt, self.seed, index)
            token += self.faults.wrong_text and token != EOS
            self.ids.append(token)
            self._append_text(token, index)
            new.append(token)
        return new

    def release(self, sent: int) -> bytes:
        """The text behind `sent` bytes that may be shown now."""
        held = self.faults.hold_back and len(self.ids) % 3 == 0 and self.finish_reason is None
        return bytes(self.text[sent : len(self.text) - (self.last_bytes if held else 0)])

    def _append_text(self, token: int, index: int) -> None:
        piece = token_text(token, index).encode()
        self.text += piece
        self.last_bytes = len(piece)


class Progress:
    """The progress file; nothing is written while frozen, as in a hung engine."""

    def __init__(self, path: str | None, epoch: str) -> None:
        self.frozen = False
        self.step = 0
        self.phase = "starting"
        self.began_ns = time.monotonic_ns()
        self._epoch = bytes.fromhex(epoch)
        self._sequence = 0
        self._map: mmap.mmap | None = None
        if path is not None:
            with open(path, "w+b") as file:
                file.truncate(PROGRESS.size)
                self._map = mmap.mmap(file.fileno(), PROGRESS.size)
        self.write("starting", 0)

    def write(self, phase: str, in_flight: int) -> None:
        if self.frozen:
            return
        self.step += 1
        self.phase, self.began_ns = phase, time.monotonic_ns()
        if self._map is None:
            return
        struct.pack_into("<I", self._map, 4, self._sequence + 1)
        self._sequence += 2
        size = in_flight if phase == "decode" else 0
        now = self.began_ns
        self._map[8:] = PROGRESS.pack(
            b"GLPR", 0, self._epoch, self.step, PHASES[phase], size, now, now, in_flight
        )[8:]
        self._map[:4] = b"GLPR"
        struct.pack_into("<I", self._map, 4, self._sequence)


def reached(count: int, limit: int | None) -> bool:
    return limit is not None and count >= limit


def base(kind: str) -> dict:
    answer_id = f"chatcmpl-{os.urandom(12).hex()}"
    return {"id": answer_id, "object": kind, "created": int(time.time()), "model": "fake-reader"}


def usage(answer: Answer) -> dict:
    asked, given = len(answer.prompt), len(answer.ids)
    return {"prompt_tokens": asked, "completion_tokens": given, "total_tokens": asked + given}


def logprobs(ids: list[int], first: int) -> dict:
    """What this model thinks of tokens number `first` and following: made up, the same always."""
    content = [
        {
            "token": token_text(token, index),
            "logprob": -token / 1000,
            "bytes": list(token_text(token, index).encode()),
            "top_logprobs": [],
        }
        for index, token in enumerate(ids, first)
    ]
    return {"content": content, "refusal": None}


def event(
    chunk: dict,
    glyph: dict,
    delta: dict,
    finish_reason: str | None = None,
    told: dict | None = None,
) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason, "logprobs": told}
    return event_of({**chunk, "choices": [choice], "glyph": glyph})


def event_of(body: dict) -> bytes:
    return b"data: %s\n\n" % json.dumps(body, ensure_ascii=False).encode()
