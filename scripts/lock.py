"""Rewrite requirements.lock and requirements-dev.lock from pyproject.toml (`make lock`).

No hashes: torch is installed from whatever build the machine has (CPU here, CUDA there), always
at one exact version. Packages that only CUDA builds of torch pull in are left to torch's own pins.
"""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = ["setuptools", "wheel"]
HEADER = "# Written by `make lock` from pyproject.toml; do not edit.\n"


def resolve(*requirements: str) -> dict[str, str]:
    """Ask pip what it would install for these requirements: name -> version."""
    command = [
        *(sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed"),
        *("--disable-pip-version-check", "--report", "-", *requirements),
    ]
    report = json.loads(subprocess.run(command, check=True, capture_output=True, cwd=ROOT).stdout)
    found = [item["metadata"] for item in report["install"]]
    versions = {item["name"].lower(): item["version"] for item in found}
    return {name: version for name, version in versions.items() if is_ours(name)}


def is_ours(name: str) -> bool:
    """Whether we pin a package: not ourselves, and nothing that a CUDA build of torch brings."""
    if name in ("glyph-supervisor", "triton"):
        return False
    return not name.startswith("nvidia-") or name == "nvidia-ml-py"


def main() -> None:
    """Resolve twice and write both files."""
    run = resolve(".", *BUILD)
    test = resolve(".[dev]", *BUILD)
    clash = {name for name in run if test[name] != run[name]}
    if clash:
        raise SystemExit(f"run and test resolve differently: {sorted(clash)}")
    lines = [f"{name}=={version.split('+')[0]}" for name, version in sorted(run.items())]
    (ROOT / "requirements.lock").write_text(HEADER + "\n".join(lines) + "\n")
    extra = [f"{n}=={v}" for n, v in sorted(test.items()) if n not in run]
    (ROOT / "requirements-dev.lock").write_text(
        HEADER + "-r requirements.lock\n" + "\n".join(extra) + "\n"
    )


if __name__ == "__main__":
    main()
