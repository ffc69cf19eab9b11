import asyncio
import contextlib
import json
import logging
import os
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from supervisor.alerts.model import Alert, to_message
from supervisor.alerts.outbox import Outbox
from supervisor.alerts.sinks import signature
from supervisor.config.model import Alerts, ExecHook, Webhook
from tests.unit.alerts.receiver import receiving


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


def alert(title: str = "worker-0 hangs") -> Alert:
    return Alert(
        key="failure:worker-0",
        severity="critical",
        status="firing",
        title=title,
        worker="worker-0",
        epoch="e" * 32,
        cause="hang",
        evidence={"step_age_seconds": 8.2, "原因": "decode"},
    )


@contextlib.asynccontextmanager
async def running(path: Path, settings: Alerts, delay: float = 0.01) -> AsyncIterator[Outbox]:
    outbox = Outbox(path, settings, first_delay_seconds=delay)
    task = asyncio.create_task(outbox.run())
    try:
        yield outbox
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        outbox.close()


def undelivered(path: Path) -> int:
    database = sqlite3.connect(path)
    count: int = database.execute("SELECT count(*) FROM deliveries").fetchone()[0]
    database.close()
    return count


def test_a_webhook_gets_the_signed_alert(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("s3cret\n", encoding="utf-8")

    async def scene() -> None:
        async with receiving() as receiver:
            hook = Webhook(url=f"{receiver.url}/hook?team=a", secret_file=str(secret))
            async with running(tmp_path / "alerts.db", Alerts(webhooks=[hook])) as outbox:
                outbox.post(alert())
                await receiver.wait_for(1)
                assert await outbox.flush(10)
            (got,) = receiver.requests
            assert got.headers[":path"] == "/hook?team=a"
            message = json.loads(got.body)
            assert set(message) == {
                *("id", "at", "key", "severity", "status", "title", "worker", "epoch", "cause"),
                *("evidence", "host"),
            }
            assert message["evidence"] == {"step_age_seconds": 8.2, "原因": "decode"}
            sent = got.headers["glyph-signature"]
            at = int(sent.partition(",")[0].removeprefix("t="))
            assert sent == signature(b"s3cret", got.body, at)
            assert sent != signature(b"s3cret", got.body + b" ", at)
            assert sent != signature(b"other", got.body, at)

    asyncio.run(scene())
    assert undelivered(tmp_path / "alerts.db") == 0


def test_the_signature_is_the_documented_one() -> None:
    # printf '1700000000.{}' | openssl dgst -sha256 -hmac key
    digest = "9d713ed406bb7076d4123f0dc2c39d2df5c654ed4b0cd56b52c8b4c940bd63ae"
    assert signature(b"key", b"{}", 1700000000) == f"t=1700000000,v1={digest}"


@pytest.mark.parametrize("status", [500, 404, 302])
def test_what_is_not_taken_is_sent_again_with_the_same_id(tmp_path: Path, status: int) -> None:
    async def scene() -> None:
        async with receiving(status, status) as receiver:
            settings = Alerts(webhooks=[Webhook(url=f"{receiver.url}/hook")])
            async with running(tmp_path / "alerts.db", settings) as outbox:
                outbox.post(alert())
                await receiver.wait_for(3)
                assert await outbox.flush(10)
            assert {got.headers[":path"] for got in receiver.requests} == {"/hook"}
            assert len({json.loads(got.body)["id"] for got in receiver.requests}) == 1

    asyncio.run(scene())
    assert undelivered(tmp_path / "alerts.db") == 0


def test_after_its_attempts_an_alert_is_given_up(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def scene() -> None:
        async with receiving(500, 500, 500) as receiver:
            settings = Alerts(webhooks=[Webhook(url=receiver.url)], attempts=3)
            async with running(tmp_path / "alerts.db", settings) as outbox:
                outbox.post(alert("first"))
                await receiver.wait_for(3)
                outbox.post(alert("second"))
                await receiver.wait_for(4)
                assert await outbox.flush(10)
            assert json.loads(receiver.requests[3].body)["title"] == "second"

    asyncio.run(scene())
    assert undelivered(tmp_path / "alerts.db") == 0
    assert "given up for webhook 127.0.0.1" in caplog.text


def test_a_receiver_that_hangs_holds_up_nobody_else(tmp_path: Path) -> None:
    async def scene() -> None:
        async with receiving(*[0] * 10) as silent, receiving() as lively:
            hooks = [Webhook(url=f"{silent.url}/s", timeout_seconds=30), Webhook(url=lively.url)]
            async with running(tmp_path / "alerts.db", Alerts(webhooks=hooks)) as outbox:
                for number in range(3):
                    outbox.post(alert(f"alert {number}"))
                await lively.wait_for(3)
                await silent.wait_for(1)
                assert not await outbox.flush(0.05)
            titles = [json.loads(got.body)["title"] for got in lively.requests]
            assert titles == ["alert 0", "alert 1", "alert 2"]
            assert len(silent.requests) == 1

    asyncio.run(scene())
    assert undelivered(tmp_path / "alerts.db") == 3


def test_a_deadline_ends_an_attempt(tmp_path: Path) -> None:
    async def scene() -> None:
        async with receiving(0) as receiver:
            settings = Alerts(webhooks=[Webhook(url=receiver.url, timeout_seconds=1.0)])
            async with running(tmp_path / "alerts.db", settings) as outbox:
                outbox.post(alert())
                await receiver.wait_for(2)
                assert await outbox.flush(10)

    asyncio.run(scene())
    assert undelivered(tmp_path / "alerts.db") == 0


def test_the_next_start_sends_what_was_not_taken_and_nothing_twice(tmp_path: Path) -> None:
    path = tmp_path / "alerts.db"

    async def scene() -> None:
        async with receiving(200, 500) as receiver:
            settings = Alerts(webhooks=[Webhook(url=receiver.url)])
            async with running(path, settings, delay=0.5) as outbox:
                outbox.post(alert("taken"))
                await receiver.wait_for(1)
                outbox.post(alert("not taken"))
                await receiver.wait_for(2)
                assert await outbox.flush(10)
            async with running(path, settings) as outbox:
                await receiver.wait_for(3)
                assert await outbox.flush(10)
            titles = [json.loads(got.body)["title"] for got in receiver.requests]
            assert titles == ["taken", "not taken", "not taken"]

    asyncio.run(scene())
    assert undelivered(path) == 0


def test_alerts_posted_before_anybody_delivers_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "alerts.db"
    settings = Alerts(webhooks=[Webhook(url="http://127.0.0.1:9/")])
    outbox = Outbox(path, settings)
    outbox.post(alert())
    outbox.close()
    assert undelivered(path) == 1
    assert path.stat().st_mode & 0o777 == 0o600


def test_the_queue_is_bounded_and_keeps_the_newest(tmp_path: Path) -> None:
    path = tmp_path / "alerts.db"
    outbox = Outbox(path, Alerts(webhooks=[Webhook(url="http://127.0.0.1:9/")], queue=3))
    for number in range(3):
        outbox.post(alert(f"{number}"))
    outbox.close()
    outbox = Outbox(path, Alerts(webhooks=[Webhook(url="http://127.0.0.1:9/")], queue=3))
    outbox.post(alert("newest"))
    outbox.close()
    database = sqlite3.connect(path)
    rows = database.execute("SELECT message FROM deliveries ORDER BY number").fetchall()
    database.close()
    assert [json.loads(row[0])["title"] for row in rows] == ["1", "2", "newest"]


def test_without_a_usable_disk_alerts_still_get_out(tmp_path: Path) -> None:
    async def scene() -> None:
        async with receiving() as receiver:
            settings = Alerts(webhooks=[Webhook(url=receiver.url)])
            async with running(tmp_path / "no" / "such" / "alerts.db", settings) as outbox:
                outbox.post(alert("the disk is full"))
                await receiver.wait_for(1)

    asyncio.run(scene())


def test_receivers_that_are_no_longer_configured_are_forgotten(tmp_path: Path) -> None:
    path = tmp_path / "alerts.db"
    old = Outbox(path, Alerts(webhooks=[Webhook(url="http://127.0.0.1:9/")]))
    old.post(alert())
    old.close()

    async def scene() -> None:
        async with receiving() as receiver:
            settings = Alerts(webhooks=[Webhook(url=receiver.url)])
            async with running(path, settings) as outbox:
                outbox.post(alert("for the new one"))
                await receiver.wait_for(1)
                assert await outbox.flush(10)

    asyncio.run(scene())
    assert undelivered(path) == 0


def test_a_program_gets_the_alert_on_its_input_and_in_its_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_OF_OURS", "x")
    monkeypatch.setenv("NOTIFY_SOCKET", "/run/x")
    out = tmp_path / "out"
    script = 'cat > "$1.json"; env > "$1.env"; ls /proc/self/fd > "$1.fds"; mv "$1.json" "$1"'
    hook = ExecHook(argv=["/bin/sh", "-c", script, "sh", str(out)])

    async def scene() -> None:
        async with running(tmp_path / "alerts.db", Alerts(exec=[hook])) as outbox:
            outbox.post(alert())
            assert await outbox.flush(10)

    asyncio.run(scene())
    assert json.loads(out.read_text(encoding="utf-8"))["title"] == "worker-0 hangs"
    environment = (tmp_path / "out.env").read_text(encoding="utf-8")
    assert "GLYPH_ALERT_TITLE=worker-0 hangs\n" in environment
    assert "GLYPH_ALERT_SEVERITY=critical\n" in environment
    assert "SECRET_OF_OURS" not in environment
    assert "NOTIFY_SOCKET" not in environment
    # Its three standard streams and the directory being listed.
    assert len((tmp_path / "out.fds").read_text(encoding="utf-8").split()) <= 4
    assert undelivered(tmp_path / "alerts.db") == 0


def test_a_program_that_takes_too_long_is_killed_with_its_children(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    os.mkfifo(pids)
    script = 'sleep 1000 & echo "$$ $!" > "$1"; wait'
    hook = ExecHook(argv=["/bin/sh", "-c", script, "sh", str(pids)], timeout_seconds=0.5)

    async def scene() -> list[int]:
        settings = Alerts(exec=[hook], attempts=1)
        async with running(tmp_path / "alerts.db", settings) as outbox:
            outbox.post(alert())
            started = await asyncio.to_thread(pids.read_text)
            assert await outbox.flush(10)
        return [int(pid) for pid in started.split()]

    for pid in asyncio.run(scene()):
        assert not alive(pid)
    assert undelivered(tmp_path / "alerts.db") == 0


def alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not (here nobody may reap a killed orphan)."""
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    except (ProcessLookupError, FileNotFoundError):
        return False
    return state != "Z"


class GivenUp(logging.Handler):
    """Sets an event when the outbox says that it gave an alert up."""

    def __init__(self) -> None:
        super().__init__()
        self.event = asyncio.Event()

    def emit(self, record: logging.LogRecord) -> None:
        if "given up" in record.getMessage():
            self.event.set()


@pytest.mark.parametrize("argv", [["/bin/false"], ["/no/such/program"]])
def test_a_program_that_fails_is_run_again(
    tmp_path: Path, argv: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    async def scene() -> None:
        settings = Alerts(exec=[ExecHook(argv=argv)], attempts=3)
        given_up = GivenUp()
        logging.getLogger("supervisor.alerts.outbox").addHandler(given_up)
        async with running(tmp_path / "alerts.db", settings) as outbox, asyncio.timeout(20):
            outbox.post(alert())
            await given_up.event.wait()
        logging.getLogger("supervisor.alerts.outbox").removeHandler(given_up)

    asyncio.run(scene())
    assert caplog.text.count("alert not delivered") == 3


def test_a_message_is_bounded_and_always_text() -> None:
    big = Alert("k", "info", "firing", "t", evidence={"log": "x" * 100_000})
    assert json.loads(to_message(big))["evidence"] == {"left_out": "too large"}
    odd = Alert("k", "info", "firing", "name \udcff", evidence={})
    assert json.loads(to_message(odd))["title"] == "name ?"
