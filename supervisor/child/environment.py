"""What a child gets to see of our environment: nothing that is ours alone, and no secret."""

import re
from collections.abc import Mapping
from pathlib import Path

from supervisor.child.tree import EPOCH_VARIABLE

# A child that inherits NOTIFY_SOCKET talks to systemd in our name; LISTEN_* promises descriptors it
# has not got.
_OURS = re.compile(
    r"NOTIFY_SOCKET|LISTEN_.*|WATCHDOG_.*|FDSTORE|CREDENTIALS_DIRECTORY|INVOCATION_ID|JOURNAL_STREAM|MAINPID"
    r"|MANAGERPID|SYSTEMD_EXEC_PID|MEMORY_PRESSURE_.*|(?:STATE|RUNTIME|LOGS|CACHE|CONFIGURATION)_DIRECTORY"
)
_SECRET = re.compile(
    r"(?:.*_)?(?:SECRETS?|TOKENS?|PASSWORDS?|PASSWD|CREDENTIALS?|(?:PRIVATE|API|ACCESS)_?KEY)(?:_.*)?",
    re.IGNORECASE,
)
_ROOT = Path(__file__).resolve().parents[2]


def child_environment(
    inherited: Mapping[str, str], extra: Mapping[str, str], epoch: str
) -> dict[str, str]:
    """Environment of one generation; what the operator set for it in `extra` wins over every rule
    here.
    """
    environment = {
        name: value
        for name, value in inherited.items()
        if not _OURS.fullmatch(name) and not _SECRET.fullmatch(name)
    }
    # The packages come from where ours come from, whatever directory we were started in.
    inherited_path = environment.get("PYTHONPATH")
    environment["PYTHONPATH"] = f"{_ROOT}:{inherited_path}" if inherited_path else str(_ROOT)
    environment["PYTHONSAFEPATH"] = "1"
    environment["PYTHONUNBUFFERED"] = "1"
    return environment | dict(extra) | {EPOCH_VARIABLE: epoch}
