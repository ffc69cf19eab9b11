"""Run a supervisor whose workers are fake ones: `python -m tests.process.daemon_entry FILE
[take-over]`.

The configuration is reloaded from `config.json` beside FILE. FILE is a JSON object with
`configuration` (a whole configuration), `state`, `runtime` and, optionally,
`worker` and `gateway`: the programs to start instead of the usual ones.
"""

import json
import sys
from pathlib import Path

from supervisor.config.model import Configuration
from supervisor.config.paths import Directories
from supervisor.daemon import Announcement, run_daemon
from supervisor.runtime.programs import Programs

FAKE_WORKER = Path(__file__).with_name("fakeworker.py")


def main() -> int:
    path = Path(sys.argv[1])
    settings = json.loads(path.read_text())
    programs = Programs(
        worker=tuple(settings.get("worker", (sys.executable, str(FAKE_WORKER)))),
        gateway=tuple(settings.get("gateway", Programs().gateway)),
    )

    def announce(announcement: Announcement) -> None:
        print(json.dumps({"gateway": announcement.gateway_url, "login": announcement.login_link}))
        sys.stdout.flush()

    return run_daemon(
        Configuration.model_validate(settings["configuration"]),
        path.with_name("config.json"),
        Directories(Path(settings["state"]), Path(settings["runtime"])),
        take_over="take-over" in sys.argv[2:],
        announce=announce,
        programs=programs,
    )


if __name__ == "__main__":
    sys.exit(main())
