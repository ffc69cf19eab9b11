import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from supervisor.child import procfs
from supervisor.child.signals import open_pidfd, send, send_group


@pytest.fixture
def sleeper() -> "Iterator[subprocess.Popen[bytes]]":
    process = subprocess.Popen(["/bin/sleep", "300"], start_new_session=True)
    yield process
    process.kill()
    process.wait()


def test_own_line_is_read() -> None:
    stat = procfs.read_stat(os.getpid())
    assert stat is not None
    assert (stat.pid, stat.parent, stat.session) == (os.getpid(), os.getppid(), os.getsid(0))
    assert stat.alive
    assert procfs.snapshot()[os.getpid()].start_ticks == stat.start_ticks


def test_name_with_parentheses_and_blanks(tmp_path: Path) -> None:
    program = tmp_path / "x) R 1 (y"
    shutil.copy("/bin/sleep", program)
    process = subprocess.Popen([program, "300"])
    try:
        stat = procfs.read_stat(process.pid)
        assert stat is not None
        assert stat.parent == os.getpid()
    finally:
        process.kill()
        process.wait()


def test_zombie_counts_as_gone() -> None:
    process = subprocess.Popen(["/bin/true"])
    identity = procfs.identify(process.pid)
    assert identity is not None
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    stat = procfs.read_stat(process.pid)
    assert stat is not None
    assert stat.state == "Z"
    assert not procfs.is_alive(identity)
    process.wait()
    assert procfs.read_stat(process.pid) is None


def test_reused_pid_is_never_signalled(sleeper: "subprocess.Popen[bytes]") -> None:
    identity = procfs.identify(sleeper.pid)
    assert identity is not None
    earlier_owner = replace(identity, start_ticks=identity.start_ticks - 1)
    other_boot = replace(identity, boot_id="0" * 36)
    for stranger in (earlier_owner, other_boot):
        assert open_pidfd(stranger) is None
        assert not send(stranger, signal.SIGKILL)
        assert not send_group(stranger, signal.SIGKILL)
        assert not procfs.is_alive(stranger)
    assert sleeper.poll() is None
    assert send(identity, signal.SIGKILL)
    assert sleeper.wait() == -signal.SIGKILL
    assert not send(identity, signal.SIGKILL)


def test_group_signal_reaches_the_whole_group() -> None:
    script = "sleep 300 & echo $!; wait"
    process = subprocess.Popen(
        ["/bin/sh", "-c", script], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stdout is not None
    member = int(process.stdout.readline())
    identity = procfs.identify(process.pid)
    assert identity is not None
    pidfd = os.pidfd_open(member)
    assert send_group(identity, signal.SIGTERM)
    assert process.wait() == -signal.SIGTERM
    assert signal_arrived(pidfd)
    process.stdout.close()


def signal_arrived(pidfd: int) -> bool:
    import select

    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    dead = bool(poll.poll(5000))
    os.close(pidfd)
    return dead


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_arguments_and_environment_of_another_process() -> None:
    process = subprocess.Popen(["/bin/sleep", "300"], env={"GLYPH_EPOCH": "abc"})
    try:
        # Popen returns as soon as exec has begun, the kernel fills in the arguments a moment later.
        until(lambda: procfs.has_environment(process.pid, "GLYPH_EPOCH=abc"))
        assert procfs.command_line(process.pid) == ("/bin/sleep", "300")
        assert not procfs.has_environment(process.pid, "GLYPH_EPOCH=ab")
    finally:
        process.kill()
        process.wait()
    assert procfs.command_line(process.pid) == ()
