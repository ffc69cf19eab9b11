"""Names of a generation's files (docs/wire.md, section 1), and what remains of it on disk."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from supervisor.child.logs import log_path
from supervisor.config.paths import Directories

GATEWAY = "gateway"
_MARK_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Mark:
    """Which generation a socket belongs to; for a supervisor whose journal was lost."""

    slot: str
    epoch: str
    number: int


@dataclass(frozen=True, slots=True)
class Layout:
    """Where everything of a generation lives."""

    directories: Directories
    workers: tuple[str, ...]
    """Names of the worker slots in the order of the configuration."""

    @property
    def slots(self) -> tuple[str, ...]:
        """All slots, the gateway first: it holds requests while the workers load."""
        return (GATEWAY, *self.workers)

    def socket(self, slot: str, epoch: str) -> Path:
        """Socket of a generation; KeyError for an unknown slot."""
        if slot == GATEWAY:
            return self.directories.runtime / f"gw-{epoch[:8]}.sock"
        if slot not in self.workers:
            raise KeyError(slot)
        return self.directories.runtime / f"w{self.workers.index(slot)}-{epoch[:8]}.sock"

    def log(self, slot: str, number: int) -> Path:
        """Output file of a generation."""
        return log_path(self.directories.logs, slot, number)


def write_private(path: Path, text: str) -> None:
    """Write a file of mode 0600 so that readers see all of it or nothing."""
    draft = path.with_name(path.name + ".tmp")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with open(descriptor, "w") as file:
        file.write(text)
    os.replace(draft, path)


def write_mark(socket: Path, mark: Mark) -> None:
    """Leave word of whose socket this is."""
    write_private(Path(f"{socket}.child.json"), json.dumps(asdict(mark)))


def read_mark(socket: Path) -> Mark | None:
    """The word left at a socket; None if there is none that can be read."""
    try:
        with open(f"{socket}.child.json", "rb") as file:
            data = json.loads(file.read(_MARK_BYTES))
        return Mark(str(data["slot"]), str(data["epoch"]), int(data["number"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def remove_files(socket: Path) -> None:
    """Remove every runtime file of a generation."""
    for path in socket.parent.glob(f"{socket.name}*"):
        path.unlink(missing_ok=True)
