"""Environment, exit reports, logs, command lines."""

import json
import os
from pathlib import Path

import pytest

from supervisor.child import logs
from supervisor.child.environment import child_environment
from supervisor.child.exits import LastWord, read_last_word, report
from supervisor.child.ports import holder_of
from supervisor.child.scan import parse_arguments
from supervisor.core.model import ExitReport


def test_a_child_gets_nothing_that_is_ours_and_no_secret() -> None:
    inherited = {
        "PATH": "/bin",
        "NOTIFY_SOCKET": "/run/x",
        "LISTEN_FDS": "1",
        "WATCHDOG_USEC": "1",
        "HF_TOKEN": "t",
        "OPENAI_API_KEY": "k",
        "DB_PASSWORD": "p",
        "TOKENIZERS_PARALLELISM": "false",
        "PYTHONPATH": "/mine",
    }
    made = child_environment(inherited, {"HF_TOKEN": "wanted"}, "e" * 32)
    assert made["PATH"] == "/bin"
    assert made["HF_TOKEN"] == "wanted"
    assert made["GLYPH_EPOCH"] == "e" * 32
    assert made["PYTHONUNBUFFERED"] == "1"
    assert made["PYTHONPATH"].endswith(":/mine")
    assert made["TOKENIZERS_PARALLELISM"] == "false"
    gone = {"NOTIFY_SOCKET", "LISTEN_FDS", "WATCHDOG_USEC", "OPENAI_API_KEY", "DB_PASSWORD"}
    assert gone.isdisjoint(made)


@pytest.mark.parametrize(
    ("code", "word", "expected"),
    [
        (0, LastWord(0, "stopped"), ExitReport(code=0, reported="stopped")),
        (75, None, ExitReport(code=75)),
        (-9, None, ExitReport(signal=9)),
        (None, LastWord(75, "lost the GPU"), ExitReport(code=75, reported="lost the GPU")),
        (None, None, ExitReport()),
    ],
)
def test_exit_reports(code: int | None, word: LastWord | None, expected: ExitReport) -> None:
    assert report(code, word) == expected


def test_last_word_of_another_epoch_is_not_believed(tmp_path: Path) -> None:
    socket = tmp_path / "w0.sock"
    assert read_last_word(socket, "a") is None
    Path(f"{socket}.exit.json").write_text(json.dumps({"epoch": "a", "code": 75, "reason": "r"}))
    assert read_last_word(socket, "a") == LastWord(75, "r")
    assert read_last_word(socket, "b") is None
    Path(f"{socket}.exit.json").write_text('{"epoch": "a", "co')
    assert read_last_word(socket, "a") is None


def test_rotation_keeps_what_was_written_and_the_writer(tmp_path: Path) -> None:
    path = logs.log_path(tmp_path, "worker-0", 3)
    with open(path, "ab", buffering=0) as writer:
        for round_number in range(4):
            writer.write(b"%d" % round_number * 100)
            assert logs.rotate(path, 50, keep=2)
            assert not logs.rotate(path, 50, keep=2)
        writer.write(b"after")
    assert path.read_text() == "after"
    assert Path(f"{path}.1").read_text() == "3" * 100
    assert Path(f"{path}.2").read_text() == "2" * 100
    assert not Path(f"{path}.3").exists()


def test_old_generations_are_pruned_by_number(tmp_path: Path) -> None:
    for number in (1, 2, 30):
        logs.log_path(tmp_path, "worker-0", number).write_text("x")
    other = logs.log_path(tmp_path, "worker-01", 1)
    other.write_text("x")
    logs.prune(tmp_path, "worker-0", newest=22)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["worker-0.g30.log", other.name]


def test_tail(tmp_path: Path) -> None:
    path = tmp_path / "log"
    assert logs.tail(path, 3) == []
    path.write_text("".join(f"{number}\n" for number in range(100_000)))
    assert logs.tail(path, 2) == ["99998", "99999"]


def test_command_lines() -> None:
    worker = (
        "python",
        "-m",
        "inference",
        "--config",
        "c",
        "--epoch",
        "e",
        "--socket",
        "/r/w0.sock",
    )
    gateway = ("python", "--epoch", "e", "--control", "/r/gw.sock", "--listen-fd", "5")
    assert parse_arguments(worker) == ("e", Path("/r/w0.sock"))
    assert parse_arguments(gateway) == ("e", Path("/r/gw.sock"))
    assert parse_arguments(("vi", "--epoch")) is None
    assert parse_arguments(()) is None


def test_port_holder_is_named() -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        holder = holder_of(server.getsockname()[1])
    assert holder is not None
    assert holder.pid == os.getpid()
    assert holder_of(1) is None
