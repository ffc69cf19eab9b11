"""A cgroup of its own for every generation, where systemd delegated us a subtree of cgroup v2.

Only `cgroup.kill`, `populated` and the OOM counter are used. No controller is ever enabled: with
controllers and survivors of a killed supervisor, systemd 252 fails to start the next one
(219/CGROUP). Nothing here is needed for correctness: without delegation, or when a call fails, the
walk over /proc does the same work.
"""

import os
from dataclasses import dataclass
from pathlib import Path

_LEAF = "supervisor"


@dataclass(frozen=True, slots=True)
class Delegation:
    """The subtree below which generations get their cgroups."""

    base: Path

    def create(self, name: str) -> Path | None:
        """A cgroup for one generation; None when it cannot be made."""
        path = self.base / name
        try:
            path.mkdir(exist_ok=True)
        except OSError:
            return None
        return path


def mount_point() -> Path | None:
    """Where cgroup v2 is mounted, if it is."""
    try:
        lines = Path("/proc/self/mountinfo").read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        left, _, right = line.partition(" - ")
        if right.startswith("cgroup2 "):
            return Path(left.split()[4])
    return None


def of_process(pid: int | str) -> Path | None:
    """The v2 cgroup of a process as a directory; None for the root and where there is none."""
    mount = mount_point()
    if mount is None:
        return None
    try:
        lines = Path(f"/proc/{pid}/cgroup").read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        if line.startswith("0::/") and line != "0::/" and "/.." not in line:
            return mount / line[4:]
    return None


def detect() -> Delegation | None:
    """Our delegated subtree, ourselves moved into a leaf of it if it has controllers; None if there
    is none.
    """
    own = of_process("self")
    if own is None:
        return None
    base = own.parent if own.name == _LEAF else own
    if not _delegated(base):
        return None
    try:
        if own == base and (base / "cgroup.subtree_control").read_text().strip():
            # A cgroup with controllers for its children may hold no process itself.
            (base / _LEAF).mkdir(exist_ok=True)
            (base / _LEAF / "cgroup.procs").write_text(str(os.getpid()))
    except OSError:
        return None
    return Delegation(base)


def _delegated(path: Path) -> bool:
    # systemd marks what it delegates; without the mark the subtree is somebody else's, even for
    # root.
    for name in ("user.delegate", "trusted.delegate"):
        try:
            if os.getxattr(path, name) == b"1":
                return os.access(path, os.W_OK)
        except OSError:
            continue
    return False


def add(path: Path, pid: int) -> bool:
    """Move a process into a cgroup; False when the kernel refuses."""
    try:
        (path / "cgroup.procs").write_text(str(pid))
    except OSError:
        return False
    return True


def kill(path: Path) -> bool:
    """SIGKILL all of the cgroup and below at once; False when that is not possible here."""
    try:
        (path / "cgroup.kill").write_text("1")
    except OSError:
        return False
    return True


def members(path: Path) -> tuple[int, ...]:
    """Pids in the cgroup and below it; empty when it is gone."""
    found: list[int] = []
    for directory, _, _ in os.walk(path):
        try:
            found += [int(line) for line in Path(directory, "cgroup.procs").read_text().split()]
        except OSError:
            continue
    return tuple(found)


def oom_kills(path: Path) -> int:
    """How many processes the kernel's OOM killer killed in this cgroup; 0 when nobody counts."""
    try:
        text = (path / "memory.events").read_text()
    except OSError:
        return 0
    counts = dict(line.split() for line in text.splitlines())
    return int(counts.get("oom_kill", 0))


def remove(path: Path) -> None:
    """Remove the empty cgroup of a dead generation; one that is not empty stays."""
    for directory, _, _ in os.walk(path, topdown=False):
        try:
            os.rmdir(directory)
        except OSError:
            return
