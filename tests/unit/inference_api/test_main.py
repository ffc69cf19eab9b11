"""Command line and configuration file."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from inference.__main__ import main, parse_options

EPOCH = "0123456789abcdef" * 2


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "c.yaml"
    path.write_text("inference:\n  threads: 1\nlisten: ignored\n")
    return path


def test_options(config: Path) -> None:
    found = parse_options(["--config", str(config), "--epoch", EPOCH, "--socket", "/x/w.sock"])
    assert (found.epoch, found.socket, found.port) == (EPOCH, Path("/x/w.sock"), None)
    assert parse_options(["--config", str(config), "--port", "80"]).epoch != EPOCH


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--config", "c"],
        ["--config", "c", "--port", "1", "--socket", "s"],
        ["--config", "c", "--port", "0"],
        ["--config", "c", "--port", "x"],
        ["--config", "c", "--port", "1", "--epoch", "short"],
        ["--config", "c", "--port", "1", "--epoch", EPOCH.upper()],
        ["--config", "c", "--socket", "/" + "x" * 107],
        ["--config", "c", "--port", "1", "--unknown"],
    ],
)
def test_wrong_usage_ends_with_64(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        main(arguments)
    assert raised.value.code == 64
    assert "inference: " in capsys.readouterr().err


def test_help_ends_with_0(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        main(["--help"])
    assert raised.value.code == 0
    assert "--socket" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        ("inference: {}", []),
        ('{"inference": {"kv": {"slots": 4}}}', []),
        ("inference: {kv: {slots: zero}, thread: 1}", ["inference.kv.slots", "inference.thread"]),
        ("inference: {model: /nowhere}", ["inference.model"]),
        ("other: {}", ["inference"]),
        ("- a list", ["inference"]),
        ("{", ["config"]),
    ],
)
def test_check(
    tmp_path: Path, text: str, paths: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "c"
    file.write_text(text)
    assert main(["--check", "--config", str(file)]) == (78 if paths else 0)
    problems = json.loads(capsys.readouterr().out)
    assert [problem["path"] for problem in problems] == paths
    assert all(problem["message"] for problem in problems)


def test_an_unreadable_file_is_a_problem(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--check", "--config", "/nowhere/c.yaml"]) == 78
    assert "No such file" in json.loads(capsys.readouterr().out)[0]["message"]


def test_checking_imports_neither_torch_nor_a_server(config: Path) -> None:
    code = (
        "import sys; from inference.__main__ import main;"
        f"assert main(['--check', '--config', {str(config)!r}]) == 0;"
        "sys.exit(any(name in sys.modules for name in ('torch', 'starlette', 'transformers')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=Path.cwd()).returncode == 0
