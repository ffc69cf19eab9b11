"""Output files of the children: one per generation, appended to by the child itself.

A file, not a pipe: a pipe would block or kill the child when the supervisor dies. Rotation copies
and truncates, because the child keeps its descriptor; what it writes between the copy and the cut
is lost, a few lines at worst.
"""

import os
import re
import shutil
from pathlib import Path

GENERATIONS_KEPT = 20
_TAIL_BYTES = 262144


def log_path(directory: Path, name: str, number: int) -> Path:
    """Output file of one generation."""
    return directory / f"{name}.g{number}.log"


def rotate(path: Path, max_bytes: int, keep: int) -> bool:
    """Rotate a file larger than `max_bytes`, keeping `keep` old ones; True if it did."""
    try:
        if path.stat().st_size <= max_bytes:
            return False
        for age in range(keep - 1, 0, -1):
            older = Path(f"{path}.{age}")
            if older.exists():
                os.replace(older, f"{path}.{age + 1}")
        shutil.copyfile(path, f"{path}.1")
        os.truncate(path, 0)
    except FileNotFoundError:
        return False
    return True


def prune(directory: Path, name: str, newest: int) -> None:
    """Remove the files of generations of a slot that are older than the newest twenty."""
    pattern = re.compile(re.escape(name) + r"\.g(\d+)\.log(\.\d+)?")
    for path in directory.iterdir():
        match = pattern.fullmatch(path.name)
        if match and int(match[1]) <= newest - GENERATIONS_KEPT:
            path.unlink(missing_ok=True)


def tail(path: Path, lines: int) -> list[str]:
    """The last lines of a file, at most 256 KiB of it; empty if there is none."""
    try:
        with open(path, "rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - _TAIL_BYTES))
            text = file.read().decode(errors="replace")
    except OSError:
        return []
    return text.splitlines()[-lines:] if lines > 0 else []
