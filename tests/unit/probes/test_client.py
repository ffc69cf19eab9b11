"""The small HTTP exchange: every length of body, and every way to break it."""

import asyncio
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from supervisor.probes import client
from supervisor.probes.client import Answer, BrokenAnswerError, ask
from tests.unit.probes.server import serving


@pytest.fixture
def path() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir="/tmp") as directory:
        yield Path(directory) / "s"


def exchange(path: Path, raw: bytes) -> Answer:
    async def write(writer: asyncio.StreamWriter) -> None:
        writer.write(raw)

    async def play() -> Answer:
        async with serving(path, {"/x": write}):
            return await ask(path, "PUT", "/x", {"a": 1}, term=7, timeout_seconds=5.0)

    return asyncio.run(play())


def test_a_body_with_its_length_or_up_to_the_end(path: Path) -> None:
    assert exchange(path, b"HTTP/1.1 202 Yes\r\nContent-Length: 2\r\n\r\nok") == Answer(202, b"ok")
    assert exchange(path, b"HTTP/1.0 503\r\n\r\nno") == Answer(503, b"no")
    assert exchange(path, b"HTTP/1.1 204 X\r\ncontent-length: 0\r\n\r\n").is_success


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Len",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 65\r\n\r\n" + b"x" * 65,
        b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 65,
        b"HTTP/1.1 200 OK\r\n" + b"x" * 9999,
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1\r\n\r\n",
    ],
)
def test_broken_answers(path: Path, raw: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "_ANSWER_BYTES", 64)
    with pytest.raises(BrokenAnswerError):
        exchange(path, raw)
