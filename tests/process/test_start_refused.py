"""What a stranger gets wrong at the first start: clear lines, right exit codes, nothing left."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import yaml

EX_UNAVAILABLE, EX_CONFIG = 69, 78
NO_FONTS = """<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig><dir>/nonexistent</dir><cachedir>{cache}</cachedir></fontconfig>
"""


def refused(
    directory: Path, settings: dict[str, object], **environment: str
) -> tuple[int, list[str]]:
    """Start the product; its exit code and the lines it said. Nothing of it may live on."""
    config = directory / "supervisor.yaml"
    paths = {"state": str(directory / "state"), "runtime": str(directory / "run")}
    config.write_text(yaml.safe_dump({"paths": paths, "console": {"port": 0}, **settings}))
    done = subprocess.run(
        [sys.executable, "-m", "supervisor", "run", "--config", str(config)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        stdin=subprocess.DEVNULL,
        env={**os.environ, **environment},
    )
    left = [p.info["cmdline"] for p in psutil.process_iter(["cmdline"]) if p.info["cmdline"]]
    assert not [line for line in left if str(directory) in " ".join(line)]
    assert not list((directory / "run").glob("*"))
    return done.returncode, done.stderr.strip().splitlines()


@pytest.fixture
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("r")


def test_a_busy_port_is_named_with_its_holder(directory: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        code, lines = refused(directory, {"gateway": {"port": port}})
    assert code == EX_UNAVAILABLE
    assert len(lines) == 1
    assert f"port {port}" in lines[0]
    assert str(os.getpid()) in lines[0]


def test_a_machine_without_fonts_is_told_which_to_install(directory: Path) -> None:
    fonts = directory / "fonts.conf"
    fonts.write_text(NO_FONTS.format(cache=directory / "cache"))
    settings: dict[str, object] = {"gateway": {"port": 0}}
    code, lines = refused(directory, settings, FONTCONFIG_FILE=str(fonts))
    assert code == EX_CONFIG
    assert len(lines) == 2
    assert "Chinese" in lines[0]
    assert "fonts-noto-cjk" in lines[0]
    assert "Latin" in lines[1]


def test_a_broken_configuration_is_told_with_line_and_column(directory: Path) -> None:
    settings: dict[str, object] = {"gateway": {"prot": 8000}, "inference": {"kv": {"slotz": 3}}}
    code, lines = refused(directory, settings)
    assert code == EX_CONFIG
    assert len(lines) == 2
    assert "did you mean 'port'?" in lines[0]
    assert "supervisor.yaml:" in lines[0]
    assert "did you mean `slots`?" in lines[1]
