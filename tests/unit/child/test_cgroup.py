"""A real subtree of cgroup v2, as systemd would delegate it; needs a writable mount."""

import contextlib
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from supervisor.child import cgroup
from supervisor.child.procfs import identify
from supervisor.child.tree import Tree

MOVED = """
import os, sys
from pathlib import Path
from supervisor.child import cgroup
Path(sys.argv[1], "cgroup.procs").write_text(str(os.getpid()))
found = cgroup.detect()
print(found.base if found else None, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def subtree() -> Iterator[Path]:
    mount = cgroup.mount_point()
    path = (mount or Path("/nonexistent")) / f"glyph-test-{uuid.uuid4().hex[:8]}"
    try:
        path.mkdir()
    except OSError:
        pytest.skip("no cgroup v2 we may write to")
    yield path
    cgroup.kill(path)
    with contextlib.suppress(OSError):
        cgroup.remove(path)


def detect_inside(path: Path) -> str:
    process = subprocess.run(
        [sys.executable, "-c", MOVED, str(path)],
        input="",
        capture_output=True,
        text=True,
        check=True,
    )
    return process.stdout.strip()


def test_only_a_marked_subtree_is_used(subtree: Path) -> None:
    assert detect_inside(subtree) == "None"
    try:
        os.setxattr(subtree, "user.delegate", b"1")
    except OSError:
        pytest.skip("no user attributes on this cgroup file system")
    assert detect_inside(subtree) == str(subtree)


def test_without_delegation_nothing_is_detected() -> None:
    assert cgroup.detect() is None


def test_a_cgroup_is_killed_whole(subtree: Path) -> None:
    group = cgroup.Delegation(subtree).create("worker-0-g1")
    assert group is not None
    process = subprocess.Popen(["/bin/sh", "-c", "sleep 300 & wait"], start_new_session=True)
    assert cgroup.add(group, process.pid)
    identity = identify(process.pid)
    assert identity is not None
    tree = Tree(identity, "f" * 32, group)
    assert process.pid in cgroup.members(group)
    assert tree.kill() == 0
    assert process.wait() == -9
    assert cgroup.members(group) == ()
    cgroup.remove(group)
    assert not group.exists()
