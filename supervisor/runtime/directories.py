"""Make and check the directories before anything is put there."""

import os
import stat

from supervisor.config.paths import Directories
from supervisor.runtime.errors import EX_CANTCREAT, EX_NOPERM, StartError

_SOCKET_PATH_BYTES = 107
_LONGEST_NAME = "w63-xxxxxxxx.sock.progress"


def prepare(directories: Directories) -> None:
    """Create what is missing; StartError when a directory is not ours alone or its path is too
    long.
    """
    longest = len(os.fsencode(directories.runtime / _LONGEST_NAME))
    if longest >= _SOCKET_PATH_BYTES:
        raise StartError(
            f"the runtime directory {directories.runtime} is too long for Unix sockets: "
            f"{longest} of {_SOCKET_PATH_BYTES} bytes",
            EX_CANTCREAT,
        )
    try:
        directories.state.mkdir(mode=0o700, parents=True, exist_ok=True)
        directories.logs.mkdir(mode=0o700, exist_ok=True)
        directories.runtime.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = os.lstat(directories.runtime)
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
            raise StartError(f"{directories.runtime} is not a directory of ours", EX_NOPERM)
        if stat.S_IMODE(found.st_mode) & 0o077:
            os.chmod(directories.runtime, 0o700)
    except OSError as error:
        raise StartError(
            f"cannot prepare {error.filename}: {error.strerror}", EX_CANTCREAT
        ) from None


def remove_runtime(directories: Directories, *, keep_directory: bool) -> None:
    """Remove our files from the runtime directory, and it too unless systemd made it for us."""
    for pattern in ("control.sock", "w*-*.sock*", "gw-*.sock*"):
        for path in directories.runtime.glob(pattern):
            path.unlink(missing_ok=True)
    if not keep_directory:
        try:
            directories.runtime.rmdir()
        except OSError:
            return  # somebody else's file is in it, or it is gone already
