"""A Unix socket that answers as told, for the probes."""

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]


def json_answer(status: int, body: object, content_type: str = "application/json") -> Answer:
    return text_answer(status, json.dumps(body), content_type)


def text_answer(status: int, text: str, content_type: str = "application/json") -> Answer:
    async def write(writer: asyncio.StreamWriter) -> None:
        head = f"HTTP/1.1 {status} X\r\nContent-Type: {content_type}\r\nConnection: close\r\n\r\n"
        writer.write(head.encode() + text.encode())

    return write


async def silence(writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(3600)


async def garbage(writer: asyncio.StreamWriter) -> None:
    writer.write(b"SSH-2.0-OpenSSH\r\n")


@contextlib.asynccontextmanager
async def serving(path: Path, answers: dict[str, Answer]) -> AsyncIterator[list[str]]:
    """Answers by path; the heads of all requests are collected in the list."""
    heads: list[str] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            heads.append(head)
            await answers[head.split()[1]](writer)
            await writer.drain()
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_unix_server(handle, str(path))
    try:
        yield heads
    finally:
        server.close()
        os.unlink(path)
