"""Fence, directories, sockets, systemd."""

import array
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from supervisor.config.paths import Directories
from supervisor.daemon.signals import is_restart_job, own_unit
from supervisor.runtime import fence
from supervisor.runtime.directories import prepare, remove_runtime
from supervisor.runtime.errors import StartError
from supervisor.runtime.listener import Address, ask_gateway, bind, choose_passed, fits, url_of
from supervisor.runtime.notify import Notifier, take_passed_sockets


@pytest.fixture
def directories() -> Iterator[Directories]:
    with tempfile.TemporaryDirectory(dir="/tmp") as base:
        made = Directories(Path(base) / "state", Path(base) / "run")
        prepare(made)
        yield made


def test_directories_are_private(directories: Directories) -> None:
    directories.runtime.chmod(0o755)
    prepare(directories)
    assert directories.runtime.stat().st_mode & 0o777 == 0o700
    (directories.runtime / "w0-12345678.sock.progress").touch()
    (directories.runtime / "gw-12345678.sock").touch()
    remove_runtime(directories, keep_directory=False)
    assert not directories.runtime.exists()
    assert directories.state.exists()


def test_foreign_files_keep_the_directory(directories: Directories) -> None:
    (directories.runtime / "mine.txt").touch()
    remove_runtime(directories, keep_directory=False)
    assert [path.name for path in directories.runtime.iterdir()] == ["mine.txt"]


def test_runtime_path_must_be_short_and_ours(tmp_path: Path) -> None:
    with pytest.raises(StartError, match="too long") as error:
        prepare(Directories(tmp_path / "s", tmp_path / ("x" * 100)))
    assert error.value.exit_code == 73
    link = tmp_path / "link"
    link.symlink_to(tmp_path)
    with pytest.raises(StartError) as error:
        prepare(Directories(tmp_path / "s", link))
    assert error.value.exit_code == 77


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fence, "_LEAVING_SECONDS", 0.1)


def test_fence_admits_one_and_outlives_the_journal(directories: Directories) -> None:
    first = fence.acquire(directories)
    first.sign(41)
    with pytest.raises(StartError, match=f"pid {os.getpid()} already runs") as error:
        fence.acquire(directories)
    assert error.value.exit_code == 75
    first.close()
    second = fence.acquire(directories)
    assert second.earlier_term == 41
    second.close()


HOLDER = """
import sys, time
from pathlib import Path
from supervisor.config.paths import Directories
from supervisor.runtime import fence
held = fence.acquire(Directories(Path(sys.argv[1]), Path(sys.argv[2])))
held.sign(5)
print("held", flush=True)
time.sleep(300)
"""


def test_only_a_stopped_holder_is_taken_over(directories: Directories) -> None:
    paths = [str(directories.state), str(directories.runtime)]
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, *paths], stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(StartError, match=f"pid {holder.pid} already runs"):
            fence.acquire(directories, take_over=True)
        holder.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, holder.pid, os.WSTOPPED | os.WNOWAIT)
        with pytest.raises(StartError, match="is stopped"):
            fence.acquire(directories)
        assert holder.poll() is None
        taken = fence.acquire(directories, take_over=True)
        assert taken.earlier_term == 5
        assert holder.wait(10) == -signal.SIGKILL
        taken.close()
    finally:
        holder.kill()
        holder.wait()
        if holder.stdout is not None:
            holder.stdout.close()


def address(port: int, host: str = "127.0.0.1") -> Address:
    return Address(host, port, "gateway")


def test_busy_port_names_its_holder() -> None:
    with bind(address(0), 5) as listening:
        port = listening.getsockname()[1]
        assert url_of(listening) == f"http://127.0.0.1:{port}"
        with pytest.raises(
            StartError, match=f"port {port} is in use by pid {os.getpid()}"
        ) as error:
            bind(address(port), 5)
    assert error.value.exit_code == 69
    with pytest.raises(StartError, match="no address"):
        bind(address(1, "no.such.host.invalid"), 5)
    with pytest.raises(StartError, match="cannot listen"):
        bind(address(0, "192.0.2.1"), 5)


def test_passed_sockets_are_checked() -> None:
    with bind(address(0), 5) as listening, socket.socket() as idle:
        port = listening.getsockname()[1]
        assert fits(listening, address(port))
        assert fits(listening, address(0))
        assert not fits(listening, address(port + 1))
        assert not fits(listening, address(port, "127.0.0.2"))
        assert not fits(idle, address(0))
        other = bind(address(0), 5)
        assert choose_passed([other, listening], address(port)) is listening
        assert other.fileno() == -1


def test_gateway_hands_its_socket_back(directories: Directories) -> None:
    control = directories.runtime / "gw-1.sock"
    assert ask_gateway(control) is None
    script = """
import array, socket, sys
public = socket.create_server(("127.0.0.1", 0))
giver = socket.socket(socket.AF_UNIX)
giver.bind(sys.argv[1])
giver.listen()
print(public.getsockname()[1], flush=True)
client, _ = giver.accept()
rights = array.array("i", [public.fileno()])
client.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
client.close()
sys.exit(0)
"""
    gateway = subprocess.Popen(
        [sys.executable, "-c", script, f"{control}.fd"], stdout=subprocess.PIPE, text=True
    )
    assert gateway.stdout is not None
    port = int(gateway.stdout.readline())
    back = ask_gateway(control)
    gateway.wait()
    gateway.stdout.close()
    assert back is not None
    assert fits(back, address(port))
    assert not os.get_inheritable(back.fileno())
    with back, socket.create_connection(("127.0.0.1", port)):
        pass


def test_systemd_hears_us_and_keeps_the_socket(directories: Directories) -> None:
    path = str(directories.runtime / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd, bind(address(0), 5) as public:
        systemd.bind(path)
        notifier = Notifier(path)
        notifier.send("READY=1", "STATUS=serving")
        assert systemd.recv(1000) == b"READY=1\nSTATUS=serving"
        notifier.store(public)
        space = socket.CMSG_SPACE(array.array("i").itemsize)
        message, ancillary, _, _ = systemd.recvmsg(1000, space)
        assert message == b"FDSTORE=1\nFDNAME=glyph-listen"
        (descriptor,) = array.array("i", ancillary[0][2])
        with socket.socket(fileno=descriptor) as kept:
            assert kept.getsockname() == public.getsockname()
    notifier.send("WATCHDOG=1")  # nobody there any more: logged, not raised
    Notifier(None).send("WATCHDOG=1")


def test_listen_fds_of_another_process_are_refused_and_removed() -> None:
    environment = {"LISTEN_PID": "1", "LISTEN_FDS": "1", "LISTEN_FDNAMES": "x", "PATH": "/bin"}
    assert take_passed_sockets(environment) == []
    assert environment == {"PATH": "/bin"}


def test_listen_fds_for_us() -> None:
    script = """
import os, socket
from supervisor.runtime.notify import take_passed_sockets
os.environ["LISTEN_PID"] = str(os.getpid())
found = take_passed_sockets(os.environ)
print([one.getsockname()[1] for one in found], os.get_inheritable(3), "LISTEN_FDS" in os.environ)
"""
    with bind(address(0), 5) as first, bind(address(0), 5) as second:
        ports = [first.getsockname()[1], second.getsockname()[1]]
        shell = (
            f"exec 3<&{first.fileno()} 4<&{second.fileno()}; "
            f"LISTEN_FDS=2 LISTEN_FDNAMES=other:glyph-listen exec {sys.executable} -c '{script}'"
        )
        result = subprocess.run(
            ["/bin/bash", "-c", shell],
            pass_fds=(first.fileno(), second.fileno()),
            capture_output=True,
            text=True,
            check=True,
        )
    assert result.stdout.strip() == f"{[ports[1], ports[0]]} False False"


def test_own_unit_and_its_job() -> None:
    system = "0::/system.slice/glyph-supervisor.service/supervisor\n"
    user = "0::/user.slice/user-1000.slice/user@1000.service/app.slice/glyph.service\n"
    assert own_unit(system) == ("glyph-supervisor.service", False)
    assert own_unit(user) == ("glyph.service", True)
    assert own_unit("0::/user.slice/session-1.scope\n") is None
    jobs = "17 glyph.service restart waiting\n18 other.service stop running\n"
    assert is_restart_job(jobs, "glyph.service")
    assert not is_restart_job(jobs, "other.service")
    assert not is_restart_job("No jobs running.\n", "glyph.service")
