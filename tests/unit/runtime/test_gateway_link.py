import asyncio
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from supervisor.runtime import gateway_link
from supervisor.runtime.gateway_link import GatewayLink, Peer

Call = tuple[str, str, object]


@pytest.fixture
def control() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(dir="/tmp") as directory:
        yield Path(directory) / "gw"


class FakeGateway:
    """Takes control calls down; refuses the first `refusals` of them."""

    def __init__(self, path: Path, refusals: int = 0) -> None:
        self.path = path
        self.calls: list[Call] = []
        self.terms: set[str] = set()
        self.refusals = refusals
        self.news = asyncio.Event()

    async def __aenter__(self) -> "FakeGateway":
        self.path.unlink(missing_ok=True)
        self.server = await asyncio.start_unix_server(self.handle, str(self.path))
        return self

    async def __aexit__(self, *_: object) -> None:
        self.server.close()
        await self.server.wait_closed()

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        lines = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:] if line)
        body = json.loads(await reader.readexactly(int(lines["content-length"])))
        method, path, _ = head.split(" ", 2)
        status = 200
        if self.refusals:
            self.refusals -= 1
            status = 503
        else:
            self.calls.append((method, path, body))
            self.terms.add(lines["glyph-term"])
            self.news.set()
        writer.write(b"HTTP/1.1 %d X\r\nConnection: close\r\n\r\n{}" % status)
        await writer.drain()
        writer.close()

    async def until(self, call: Call) -> None:
        async with asyncio.timeout(10):
            while call not in self.calls:
                self.news.clear()
                await self.news.wait()


TABLE = [{"name": "worker-0", "epoch": "e", "generation": 1, "socket": "/s", "route": "open"}]
PUT = ("PUT", "/control/workers", {"workers": TABLE})


def test_table_goes_out_on_change_and_to_every_new_gateway(control: Path) -> None:
    async def play() -> None:
        link = GatewayLink(9)
        task = asyncio.create_task(link.run())
        link.set_table(TABLE)
        knows_before = link.synced
        async with FakeGateway(control) as first:
            link.follow(Peer("g1", control))
            await first.until(PUT)
            link.move("e")
            link.death("e", counted=True, cause="hang")
            link.expect(3.0)
            await first.until(("POST", "/control/move", {"epoch": "e"}))
            verdict = {"epoch": "e", "counted": True, "cause": "hang"}
            await first.until(("POST", "/control/death", verdict))
            await first.until(("POST", "/control/expect", {"ready_in_seconds": 3.0}))
            assert first.terms == {"9"}
            assert (knows_before, link.synced) == (False, True)
        async with FakeGateway(control) as second:
            link.follow(Peer("g2", control))
            await second.until(PUT)
            link.set_table([])
            await second.until(("PUT", "/control/workers", {"workers": []}))
        task.cancel()

    asyncio.run(play())


def test_what_was_refused_is_said_again(control: Path) -> None:
    async def play() -> None:
        link = GatewayLink(9)
        task = asyncio.create_task(link.run())
        async with FakeGateway(control, refusals=3) as gateway:
            link.follow(Peer("g1", control))
            link.set_table(TABLE)
            link.death("e", counted=False, cause="killed")
            await gateway.until(("POST", "/control/death", gateway_death()))
            assert gateway.calls[0] == PUT
        task.cancel()

    asyncio.run(play())


def gateway_death() -> dict[str, object]:
    return {"epoch": "e", "counted": False, "cause": "killed"}


def test_table_is_repeated_while_nothing_changes(
    control: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway_link, "_RESEND_SECONDS", 0.05)

    async def play() -> None:
        link = GatewayLink(9)
        task = asyncio.create_task(link.run())
        async with FakeGateway(control) as gateway:
            link.follow(Peer("g1", control))
            link.set_table(TABLE)
            async with asyncio.timeout(10):
                while gateway.calls.count(PUT) < 3:
                    gateway.news.clear()
                    await gateway.news.wait()
        task.cancel()

    asyncio.run(play())
