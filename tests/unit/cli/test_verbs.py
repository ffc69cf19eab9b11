import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from supervisor.cli import main
from supervisor.cli.exits import MEANINGS, Exit
from supervisor.console.port import RestartAnswer
from supervisor.core.effects import Record
from supervisor.core.model import Cause, PhaseTime
from supervisor.store.journal import Journal
from tests.unit.cli.served import served
from tests.unit.console.fake import FakeSupervisor, event, story


@pytest.fixture
def supervisor() -> FakeSupervisor:
    return FakeSupervisor()


@pytest.fixture
def control(
    tmp_path: Path, supervisor: FakeSupervisor, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    path = tmp_path / "control.sock"
    monkeypatch.setenv("GLYPH_SOCKET", str(path))
    with served(path, supervisor):
        yield path


@pytest.fixture
def nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configuration whose supervisor does not run."""
    monkeypatch.delenv("GLYPH_SOCKET", raising=False)
    path = tmp_path / "supervisor.yaml"
    path.write_text(f"paths:\n  state: {tmp_path}/s\n  runtime: {tmp_path}/r\n", encoding="utf-8")
    return path


def test_the_systems_supervisor_is_asked_where_the_clones_is_down(
    tmp_path: Path, supervisor: FakeSupervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "supervisor.yaml"
    config.write_text(f"paths:\n  state: {tmp_path}/s\n  runtime: {tmp_path}/r\n")
    monkeypatch.delenv("GLYPH_SOCKET", raising=False)
    monkeypatch.setenv("GLYPH_CONFIG", str(config))
    monkeypatch.setattr("supervisor.cli.place.SYSTEM_RUNTIME", tmp_path / "system")
    (tmp_path / "system").mkdir()
    assert main(["status"]) == Exit.NOT_RUNNING
    with served(tmp_path / "system" / "control.sock", supervisor):
        assert main(["status"]) == Exit.OK
        assert main(["stop"]) == Exit.OK
        assert supervisor.calls == [], "what stops everything never reaches another instance"
        assert main(["status", "--config", str(config)]) == Exit.NOT_RUNNING


def test_status_is_a_table_or_json(
    control: Path, supervisor: FakeSupervisor, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["status"]) == Exit.OK
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["state", "serving"]
    assert "http://127.0.0.1:8000  ready, pid 4712, 4 in flight, 0 waiting" in lines[2]
    assert lines[5].split()[:4] == ["WORKER", "PHASE", "FOR", "GEN"]
    assert lines[6].split() == ["worker-0", "ready", "1h13m", "3", "4f1d2c3b", "4720", "2", "-"]
    assert lines[5].index("PHASE") == lines[6].index("ready")
    assert main(["status", "--json"]) == Exit.OK
    assert json.loads(capsys.readouterr().out) == supervisor.status()


@pytest.mark.parametrize("state", ["degraded", "holding", "starting", "stopping", "down"])
def test_status_says_by_its_exit_code_that_not_all_is_well(
    control: Path, supervisor: FakeSupervisor, state: str
) -> None:
    supervisor.state = state
    assert main(["status"]) == Exit.DEGRADED


def test_status_tells_not_running_from_not_answering(
    tmp_path: Path, nobody: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["status", "--config", str(nobody)]) == Exit.NOT_RUNNING
    assert (
        capsys.readouterr().err
        == f"glyphctl: no supervisor is running ({tmp_path}/r/control.sock)\n"
    )
    dead = tmp_path / "dead.sock"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(dead))
    assert main(["status", "--socket", str(dead)]) == Exit.NOT_RUNNING
    with socket.socket(socket.AF_UNIX) as listening:
        silent = tmp_path / "silent.sock"
        listening.bind(str(silent))
        listening.listen()

        def hang_up() -> None:
            listening.accept()[0].close()

        hangup = threading.Thread(target=hang_up)
        hangup.start()
        assert main(["status", "--socket", str(silent), "--json"]) == Exit.UNKNOWN
        hangup.join()
    assert json.loads(capsys.readouterr().out)["state"] == "unknown"


def test_status_starts_without_the_heavy_libraries(nobody: Path) -> None:
    code = (
        "import sys; from supervisor.cli import main;"
        f"assert main(['status', '--config', {str(nobody)!r}]) == 3;"
        "heavy = {'pydantic', 'starlette', 'uvicorn', 'httpx', 'jinja2', 'torch', 'asyncio'};"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr


def test_events_come_from_the_supervisor(
    control: Path, supervisor: FakeSupervisor, capsys: pytest.CaptureFixture[str]
) -> None:
    supervisor.rows = story()
    assert main(["events", "--json", "--limit", "2"]) == Exit.OK
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert rows == supervisor.rows[-2:]
    assert main(["events", "--limit", "1"]) == Exit.OK
    line = capsys.readouterr().out
    assert line.startswith("2026-11-21T01:06:07.512Z  worker-1  restart  [crash]  SIGSEGV  (decide")
    assert "load 3.4s" in line


def test_events_come_from_the_journal_when_no_supervisor_lives(
    tmp_path: Path, nobody: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["events", "--config", str(nobody)]) == Exit.NOT_RUNNING
    (tmp_path / "s").mkdir()
    journal = Journal(tmp_path / "s" / "journal.db", "boot")
    record = Record(
        "restart", "worker-0", "e" * 32, Cause.HANG, "no step", phases=(PhaseTime("load", 3.4),)
    )
    assert journal.append(record).result(10)
    journal.close()
    capsys.readouterr()
    assert main(["events", "--json", "--config", str(nobody)]) == Exit.OK
    (row,) = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert (row["kind"], row["cause"], row["worker"]) == ("restart", "hang", "worker-0")
    assert row["phases"] == [{"name": "load", "seconds": 3.4}]


def test_a_restart_needs_a_reason(
    control: Path, supervisor: FakeSupervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    with open(os.devnull, encoding="utf-8") as nothing:
        monkeypatch.setattr(sys, "stdin", nothing)
        assert main(["restart", "worker-0"]) == Exit.USAGE
        assert main(["restart", "worker-0", "--reason", "  "]) == Exit.USAGE
    assert supervisor.calls == []


def test_a_restart_is_ordered_or_denied(
    control: Path, supervisor: FakeSupervisor, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["restart", "worker-0", "--reason", "new weights", "--json"]) == Exit.OK
    assert json.loads(capsys.readouterr().out) == {"accepted": True, "decision": "6b1f"}
    (call,) = supervisor.calls
    assert call[:3] == ("restart", "worker-0", "new weights")
    assert call[3]
    supervisor.answer = RestartAnswer(False, "", "one is running")
    assert main(["restart", "all", "--reason", "x"]) == Exit.FAILED
    assert capsys.readouterr().err == "glyphctl: not restarted: one is running\n"


class RestartingSupervisor(FakeSupervisor):
    """Restarts are over as soon as they are looked for."""

    async def restart(self, worker: str, *, reason: str, actor: str) -> RestartAnswer:
        last = len(self.rows)
        names = ["worker-0", "worker-1"] if worker == "all" else [worker]
        self.rows += [event(last + 1 + n, worker=name) for n, name in enumerate(names)]
        return await super().restart(worker, reason=reason, actor=actor)


def test_waiting_prints_the_story_of_every_worker(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "control.sock"
    supervisor = RestartingSupervisor()
    supervisor.rows = story()
    with served(path, supervisor):
        arguments = ["restart", "all", "--reason", "x", "--wait", "--socket", str(path)]
        assert main(arguments) == Exit.OK
        out = capsys.readouterr().out.splitlines()
        assert [line.split()[1] for line in out] == ["worker-0", "worker-1"]
        assert main([*arguments, "--json"]) == Exit.OK
        assert len(json.loads(capsys.readouterr().out)["restarts"]) == 2


def test_waiting_ends_at_its_timeout(
    control: Path, supervisor: FakeSupervisor, capsys: pytest.CaptureFixture[str]
) -> None:
    supervisor.rows = story()
    arguments = ["restart", "worker-0", "--reason", "x", "--wait", "--timeout", "0.3"]
    assert main(arguments) == Exit.TEMPORARY
    assert "worker-0: ready" in capsys.readouterr().err


def test_stop_waits_until_nobody_listens(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "control.sock"
    asked = threading.Event()

    class Stopping(FakeSupervisor):
        def stop(self, *, reason: str, drain: bool) -> None:
            super().stop(reason=reason, drain=drain)
            self.state = "stopping"
            asked.set()

    supervisor = Stopping()
    context = served(path, supervisor)
    context.__enter__()

    def end() -> None:
        asked.wait(20)
        context.__exit__(None, None, None)

    ending = threading.Thread(target=end)
    ending.start()
    arguments = ["stop", "--no-drain", "--reason", "end", "--socket", str(path)]
    assert main(arguments) == Exit.OK
    ending.join()
    assert supervisor.calls == [("stop", "end", "False")]
    assert capsys.readouterr().err.endswith("stopped\n")


def test_stop_with_nothing_running_is_done(
    nobody: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["stop", "--config", str(nobody)]) == Exit.OK
    assert "nothing was running" in capsys.readouterr().err


def test_a_named_socket_that_is_dead_touches_no_other_supervisor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GLYPH_SOCKET", str(tmp_path / "dead.sock"))
    monkeypatch.setattr("supervisor.rescue.stop_leftovers", lambda *_, **__: pytest.fail("stopped"))
    assert main(["stop"]) == Exit.NOT_RUNNING
    assert main(["events"]) == Exit.NOT_RUNNING
    assert str(tmp_path / "dead.sock") in capsys.readouterr().err


def test_login_link_and_handover(
    control: Path, supervisor: FakeSupervisor, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["login-link"]) == Exit.OK
    assert capsys.readouterr().out.startswith("http://127.0.0.1:8900/login?once=")
    assert main(["handover"]) == Exit.OK
    assert supervisor.calls == [("handover",)]


def test_logs_print_the_end_of_the_newest_generation(
    tmp_path: Path, nobody: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    logs = tmp_path / "s" / "logs"
    logs.mkdir(parents=True)
    (logs / "worker-0.g2.log").write_text("old\n", encoding="utf-8")
    (logs / "worker-0.g10.log").write_text("one\ntwo\nthree\n", encoding="utf-8")
    (logs / "gateway.g1.log").write_text("gate\n", encoding="utf-8")
    config = ["--config", str(nobody)]
    assert main(["logs", "-n", "2", *config]) == Exit.OK
    assert capsys.readouterr().out == "two\nthree\n"
    assert main(["logs", "gateway", *config]) == Exit.OK
    assert capsys.readouterr().out == "gate\n"
    assert main(["logs", "work*", *config]) == Exit.FAILED
    assert "there are: gateway, worker-0" in capsys.readouterr().err


def test_check_says_what_is_wrong_or_what_follows(
    tmp_path: Path, nobody: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", "--config", str(nobody)]) == Exit.OK
    out = capsys.readouterr().out
    assert "correct" in out
    assert "longest pause of a restart in place: 245 s" in out
    assert "(245 s <= 600 s)" in out
    bad = tmp_path / "bad.yaml"
    bad.write_text("gateway: {prot: 1}\nconsole: {host: 0.0.0.0}\n", encoding="utf-8")
    assert main(["check", "--config", str(bad)]) == Exit.CONFIGURATION
    err = capsys.readouterr().err
    assert f"{bad}:1:11: gateway.prot: unknown key (did you mean 'port'?)\n" in err
    assert "2 problem(s)" in err
    assert main(["check", "--json", "--config", str(bad)]) == Exit.CONFIGURATION
    found = json.loads(capsys.readouterr().out)
    assert [(row["line"], row["path"]) for row in found["problems"]] == [
        (1, "gateway.prot"),
        (2, "console.host"),
    ]


def test_run_refuses_a_wrong_configuration_before_anything_starts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = tmp_path / "none.yaml"
    assert main(["run", "--config", str(missing)]) == Exit.CONFIGURATION
    assert capsys.readouterr().err == f"glyphctl: {missing}: there is no such configuration file\n"
    bad = tmp_path / "bad.yaml"
    bad.write_text("console: {host: 0.0.0.0}\n", encoding="utf-8")
    assert main(["run", "--config", str(bad)]) == Exit.CONFIGURATION
    assert "is not loopback" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments", [[], ["dance"], ["status", "--jsn"], ["restart"], ["stop", "--timeout", "-1"]]
)
def test_a_wrong_command_line_is_64(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == Exit.USAGE
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_help_documents_every_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    out = capsys.readouterr().out
    assert set(MEANINGS) == set(Exit)
    for code, meaning in MEANINGS.items():
        assert f"{code.value:>3}  {meaning}" in out
