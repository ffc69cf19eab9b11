"""Connections to workers: one per exchange, so that no epoch inherits another's socket."""

import aiohttp

MAX_ANSWER_BYTES = 1024 * 1024
"""Largest plain answer read from a worker."""


def connect(socket_path: str) -> aiohttp.ClientSession:
    """A session with one worker; its deadlines are the caller's."""
    return aiohttp.ClientSession(
        connector=aiohttp.UnixConnector(path=socket_path, force_close=True, limit=0),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None),
        auto_decompress=False,
        trust_env=False,
    )


async def read_bounded(response: aiohttp.ClientResponse) -> bytes:
    """The body, cut at the bound."""
    body = bytearray()
    async for piece in response.content.iter_any():
        body += piece
        if len(body) >= MAX_ANSWER_BYTES:
            break
    return bytes(body[:MAX_ANSWER_BYTES])
