"""Misbehaving process trees for the tests: each prints the pids it made and then waits to be
killed.
"""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator

from supervisor.child.procfs import identify
from supervisor.child.tree import EPOCH_VARIABLE, Tree
from supervisor.core.model import Identity

EPOCH = "e" * 32
FORKER = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
children = []
for kind in sys.argv[1].split(","):
    read, write = os.pipe()
    if os.fork() == 0:
        if kind == "setsid":
            os.setsid()
            if os.fork(): os._exit(0)
        if kind == "exec":
            os.setsid()
            if os.fork(): os._exit(0)
            os.write(write, b"%d\\n" % os.getpid())
            os.execv("/bin/sleep", ["sleep", "300"])
        os.write(write, b"%d\\n" % os.getpid())
        while True: time.sleep(300)
    children.append(int(os.read(read, 32)))
print(*children, flush=True)
while True: time.sleep(300)
"""
RESTLESS = """
import os, time
print("", flush=True)
while True:
    if os.fork():
        os._exit(0) if os.getppid() == 1 else time.sleep(0.005)
        try: os.waitpid(-1, os.WNOHANG)
        except ChildProcessError: pass
    else:
        os.setsid()
        time.sleep(0.01)
        if os.fork(): os._exit(0)
        time.sleep(0.2)
        os._exit(0)
"""


def start(
    code: str, *arguments: str, epoch: str = EPOCH
) -> tuple[Identity, "subprocess.Popen[str]"]:
    process = subprocess.Popen(
        [sys.executable, "-c", code, *arguments, "--epoch", epoch],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, EPOCH_VARIABLE: epoch},
    )
    identity = identify(process.pid)
    assert identity is not None
    return identity, process


@contextlib.contextmanager
def forker(kinds: str, epoch: str = EPOCH) -> "Iterator[tuple[Tree, list[Identity]]]":
    """A main process that ignores SIGTERM, with one grandchild of every kind."""
    root, process = start(FORKER, kinds, epoch=epoch)
    assert process.stdout is not None
    pids = [int(word) for word in process.stdout.readline().split()]
    found = [identity for pid in pids if (identity := identify(pid)) is not None]
    assert len(found) == len(kinds.split(","))
    try:
        yield Tree(root, epoch), [root, *found]
    finally:
        for identity in (root, *found):
            if identify(identity.pid) == identity:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(identity.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()
