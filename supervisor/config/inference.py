"""The `inference:` block, whose keys belong to the inference package.

The two packages never import each other, so the block is checked by running
`python -m inference --check`, once for the common block and once per worker with keys of its own.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from typing import cast

from supervisor.config.document import Document, Location, Problem
from supervisor.config.model import Configuration, Worker

_CHECK_SECONDS = 60


def inference_of(configuration: Configuration, worker: Worker) -> dict[str, object]:
    """The `inference:` block of one worker: the common one with the worker's own keys over it."""
    return _merge(configuration.inference, worker.inference)


def inference_problems(document: Document) -> list[Problem]:
    """What the inference package says about the block, where the document has one."""
    root = document.value if isinstance(document.value, dict) else {}
    common = root.get("inference") or {}
    if not isinstance(common, dict):
        return []
    found = [
        document.problem(_locate(document, (), path), message) for path, message in _ask(common)
    ]
    workers = root.get("workers")
    if found or not isinstance(workers, list):
        return found
    for index, worker in enumerate(workers):
        own = worker.get("inference") if isinstance(worker, dict) else None
        if isinstance(own, dict) and own:
            found += [
                document.problem(_locate(document, ("workers", index), path), message)
                for path, message in _ask(_merge(common, own))
            ]
    return found


def _merge(base: Mapping[str, object], over: Mapping[str, object]) -> dict[str, object]:
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        if isinstance(value, dict) and isinstance(below, dict):
            merged[key] = _merge(below, value)
        else:
            merged[key] = value
    return merged


def _locate(document: Document, prefix: Location, path: str) -> Location:
    """The location in the document of a dotted path below `inference`.

    A name may itself contain dots, so the longest run of known keys wins.
    """
    location = prefix
    rest = path.split(".")
    while rest:
        for length in range(len(rest), 0, -1):
            name = ".".join(rest[:length])
            part: str | int = int(name) if name.isdigit() else name
            if (*location, part) in document.values:
                location, rest = (*location, part), rest[length:]
                break
        else:
            return (*location, *rest)
    return location


def _ask(block: dict[str, object]) -> list[tuple[str, str]]:
    with tempfile.NamedTemporaryFile("w", suffix=".json", encoding="utf-8") as file:
        json.dump({"inference": block}, file)
        file.flush()
        command = [sys.executable, "-m", "inference", "--check", "--config", file.name]
        try:
            result = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=_CHECK_SECONDS,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            return [("inference", f"cannot be checked: {error}")]
    try:
        answer = cast("list[dict[str, str]]", json.loads(result.stdout))
        return [(row["path"], row["message"]) for row in answer]
    except (ValueError, KeyError, TypeError):
        last = (result.stderr.strip().splitlines() or ["no answer"])[-1]
        return [("inference", f"cannot be checked: {last}")]
