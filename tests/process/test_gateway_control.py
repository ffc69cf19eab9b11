"""The supervisor's face: terms, the socket handed back, draining, and the ways the process ends."""

import asyncio
import os
import signal
import socket
import stat
import subprocess
import sys
import uuid
from pathlib import Path

import httpx
import pytest

from tests.process.gateway_rig import ROOT, Rig, ask, expected, read_stream, rig
from tests.process.test_gateway_hold import CHAT, assert_problem


def test_an_older_supervisor_is_refused() -> None:
    async def run() -> None:
        async with rig() as made:
            await made.start_gateway()
            worker = await made.start_worker()
            made.term = 7
            await made.route(worker)
            made.term = 6
            response = await made.control("PUT", "workers", {"workers": []})
            assert (response.status_code, response.json()) == (409, {"term": 7})
            assert (await made.control("GET", "state")).status_code == 409
            made.term = 7
            assert list((await made.state())["in_flight"]) == [worker.epoch]

    asyncio.run(run())


def test_malformed_commands_change_nothing() -> None:
    async def run() -> None:
        async with rig() as made:
            await made.start_gateway()
            row = {"name": "w", "epoch": "xyz", "generation": 1, "socket": "/s", "route": "open"}
            for verb, body in (
                ("workers", {"workers": [row]}),
                ("workers", {"workers": [{**row, "epoch": "0" * 32, "route": "ajar"}]}),
                ("workers", {}),
                ("workers", None),
            ):
                response = await made.control("PUT", verb, body)
                assert_problem(response, 422, "invalid_request")
            transport = httpx.AsyncHTTPTransport(uds=str(made.gateway.path))
            async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
                for headers in ({}, {"glyph-term": "-1"}, {"glyph-term": "one"}):
                    response = await client.get("/control/state", headers=headers)
                    assert_problem(response, 422, "invalid_request")
            assert (await made.state())["in_flight"] == {}

    asyncio.run(run())


def test_state_and_permissions() -> None:
    async def run() -> None:
        async with rig() as made:
            gateway = await made.start_gateway()
            state = await made.state()
            assert state["pid"] == gateway.process.pid
            assert state["epoch"] == gateway.epoch
            assert state["term"] == 1
            assert state["accepting"] is True
            assert state["uptime_seconds"] >= 0
            for path in (gateway.path, Path(f"{gateway.path}.fd")):
                assert stat.S_IMODE(os.stat(path).st_mode) == 0o600

    asyncio.run(run())


def take_socket(path: Path) -> socket.socket:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(10)
        connection.connect(f"{path}.fd")
        data, descriptors, _, _ = socket.recv_fds(connection, 16, 4)
        assert len(data) == 1
        assert len(descriptors) == 1
        assert connection.recv(16) == b""
        return socket.socket(fileno=descriptors[0])


def test_the_socket_outlives_supervisor_and_gateway() -> None:
    async def run() -> None:
        async with rig() as made:
            first = await made.start_gateway()
            made.listener.close()  # the supervisor died
            with take_socket(first.path) as shared:
                assert shared.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
                first.kill()
                await first.gone()
                # Nobody accepts now; the kernel keeps who comes.
                with socket.create_connection(shared.getsockname()) as early:
                    early.sendall(b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n")
                    await made.start_gateway(shared)
                    early.settimeout(10)
                    assert early.recv(12) == b"HTTP/1.1 200"

    asyncio.run(run())


def test_two_gateways_on_one_socket_and_a_drain() -> None:
    async def run() -> None:
        async with rig() as made, made.client() as client:
            old = await made.start_gateway()
            worker = await made.start_worker(token_seconds=0.02)
            await made.route(worker)
            stream = asyncio.create_task(read_stream(client, ask("old", tokens=40)))
            await worker.until(tokens=2)
            successor = await made.start_gateway()
            await made.route(worker)
            made.gateway = old
            stop = await made.control("POST", "stop", {"drain_seconds": 20})
            assert stop.status_code == 202
            assert (await made.state())["accepting"] is False
            async with made.client() as other:
                answer = await other.post(CHAT, json=ask("new"))
                assert answer.json()["choices"][0]["message"]["content"] == expected("new")
            heard = await stream
            assert heard.text == expected("old", 40)
            assert heard.done
            await client.aclose()
            assert await old.gone() == 0
            assert old.exit_json()["reason"] == "stopped by the supervisor"
            made.gateway = successor
            assert (await made.state())["counters"]["completed"] == 1

    asyncio.run(run())


def test_a_draining_gateway_answers_and_closes_kept_connections() -> None:
    async def run() -> None:
        async with rig() as made, made.client() as client:
            gateway = await made.start_gateway()
            await made.route(await made.start_worker())
            assert (await client.get("/readyz")).status_code == 200
            await made.control("POST", "stop", {"drain_seconds": 20})
            answer = await client.post(CHAT, json=ask("x"))  # on the kept connection
            assert answer.status_code == 200
            assert answer.headers["connection"] == "close"
            assert await gateway.gone() == 0

    asyncio.run(run())


async def cut_by(made: Rig, number: int) -> None:
    async with made.client() as client:
        worker = await made.start_worker(token_seconds=0.02)
        await made.route(worker)
        stream = asyncio.create_task(read_stream(client, ask("x", tokens=10_000)))
        plain = asyncio.create_task(client.post(CHAT, json=ask("y", tokens=10_000)))
        await worker.until(tokens=10)
        made.gateway.kill(number)
        heard = await stream
        assert heard.broken
        assert not heard.done
        assert heard.error is not None
        assert heard.error["code"] == "stopping"
        assert_problem(await plain, 503, "stopping")


def test_sigterm_cuts_honestly_and_sigint_is_ignored() -> None:
    async def run() -> None:
        async with rig() as made:
            gateway = await made.start_gateway()
            gateway.kill(signal.SIGINT)
            assert (await made.state())["accepting"] is True
            await cut_by(made, signal.SIGTERM)
            assert await gateway.gone() == 0
            content = gateway.exit_json()
            assert content["epoch"] == gateway.epoch
            assert (content["code"], content["reason"]) == (0, "SIGTERM")
            assert isinstance(content["at"], float)
            assert not gateway.path.exists()

    asyncio.run(run())


def test_an_orphan_ends_when_nothing_is_in_flight() -> None:
    async def run() -> None:
        async with rig() as made, made.client() as client:
            gateway = await made.start_gateway(orphan_seconds=1)
            worker = await made.start_worker(token_seconds=0.05)
            await made.route(worker)
            stream = await read_stream(client, ask("x", tokens=40))
            assert stream.done  # two seconds of work, one of silence
            assert await gateway.gone() == 0
            assert gateway.exit_json()["reason"] == "no word from a supervisor"

    asyncio.run(run())


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"--epoch": "short"}, 64),
        ({"--listen-fd": "99"}, 64),
        ({"--listen-fd": None}, 64),
        ({"--config": "/does/not/exist"}, 78),
    ],
)
def test_exit_codes(tmp_path: Path, change: dict[str, str | None], code: int) -> None:
    config = tmp_path / "config.json"
    config.write_text("{}")
    arguments: dict[str, str | None] = {
        "--config": str(config),
        "--epoch": uuid.uuid4().hex,
        "--control": str(tmp_path / "gw.sock"),
        "--listen-fd": "0",
        **change,
    }
    command = [sys.executable, "-m", "supervisor.gateway"]
    for name, value in arguments.items():
        command += [name, value] if value is not None else []
    ended = subprocess.run(
        command, cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, timeout=30, check=False
    )
    assert ended.returncode == code, ended.stderr
    assert ended.stderr.count(b"Traceback") == 0


def test_an_unknown_key_in_the_configuration_is_an_error(tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    config.write_text('{"gateway": {"hold": 1}}')
    command = [sys.executable, "-m", "supervisor.gateway", "--config", str(config), "--epoch"]
    command += ["0" * 32, "--control", str(tmp_path / "gw.sock"), "--listen-fd", "0"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=30, check=False)
    assert ended.returncode == 78
    assert (tmp_path / "gw.sock.exit.json").exists()
