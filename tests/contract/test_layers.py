"""The layers of ARCHITECTURE.md, held by walking the imports of every file."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

SUPERVISOR = {
    # a part -> the parts of `supervisor` it may import
    "cli": {"daemon", "rescue", "console", "runtime", "store", "config", "core", "probes", "child"},
    "daemon": {"console", "runtime", "probes", "child", "alerts", "store", "config", "core"},
    "rescue": {"runtime", "probes", "child", "store", "config", "core"},
    "console": {"config", "core"},
    "runtime": {"probes", "child", "alerts", "store", "config", "core"},
    "probes": {"config", "core"},
    "child": {"config", "core"},
    "alerts": {"config", "core"},
    "store": {"config", "core"},
    "gateway": {"config"},
    "config": {"core"},
    "core": set[str](),
}
INFERENCE = {
    "__main__": {
        "server",
        "fonts",
        "api",
        "batching",
        "engine",
        "render",
        "models",
        "config",
        "errors",
    },
    "server": {"api", "batching", "engine", "render", "models", "config", "errors"},
    "fonts": {"render", "config", "errors"},
    "api": {"batching", "engine", "render", "models", "config", "errors"},
    "batching": {"engine", "render", "picture", "config", "errors"},
    "engine": {"config", "errors", "render"},
    "render": {"config", "errors"},
    "picture": {"config", "errors"},
    "models": {"engine", "render", "config", "errors"},
    "config": {"errors"},
    "errors": set[str](),
}
ONLY_IN = {
    # a library -> the only folders that may import it
    "psutil": ("supervisor/probes", "supervisor/child"),
    "pynvml": ("supervisor/probes", "supervisor/child"),
    "torch": ("inference/engine", "inference/models"),
    "transformers": ("inference/engine", "inference/models"),
    "cairo": ("inference/render",),
    "PIL": ("inference/picture",),
    "starlette": ("supervisor/console", "supervisor/gateway", "inference/api", "inference/server"),
    "sqlite3": ("supervisor/store", "supervisor/alerts"),
    "aiohttp": ("supervisor/gateway",),
}
NOT_IN_CORE = {"asyncio", "time", "random", "os", "logging", "threading", "socket", "datetime"}


def python_files(package: str) -> list[Path]:
    return sorted((ROOT / package).rglob("*.py"))


def imports(path: Path) -> set[str]:
    """Absolute names of all modules a file imports, wherever in the file."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            module = node.module or ""
            found |= {module} | {f"{module}.{alias.name}" for alias in node.names}
    return found


def part_of(path: Path, package: str) -> str:
    first = path.relative_to(ROOT / package).parts[0]
    return first.removesuffix(".py")


def violations(package: str, allowed: dict[str, set[str]]) -> list[str]:
    other = {"supervisor": "inference", "inference": "supervisor"}[package]
    bad: list[str] = []
    for path in python_files(package):
        part = part_of(path, package)
        where = str(path.relative_to(ROOT))
        if part in ("__init__", "__main__") and part not in allowed:
            continue
        if part not in allowed:
            bad.append(f"{where}: {part} is in no layer")
            continue
        for name in imports(path):
            top, _, rest = name.partition(".")
            if top == other:
                bad.append(f"{where} imports {name}: the packages never meet")
            target = rest.partition(".")[0]
            if top == package and target in allowed and target not in allowed[part] | {part}:
                bad.append(f"{where} ({part}) imports {name}")
    return bad


@pytest.mark.parametrize(
    ("package", "allowed"), [("supervisor", SUPERVISOR), ("inference", INFERENCE)]
)
def test_imports_go_downwards(package: str, allowed: dict[str, set[str]]) -> None:
    assert violations(package, allowed) == []


def test_libraries_stay_in_their_rooms() -> None:
    bad = [
        f"{path.relative_to(ROOT)} imports {name}"
        for package in ("supervisor", "inference")
        for path in python_files(package)
        for name in {name.partition(".")[0] for name in imports(path)}
        if name in ONLY_IN and not str(path.relative_to(ROOT)).startswith(ONLY_IN[name])
    ]
    assert bad == []


def test_core_is_pure() -> None:
    bad = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in python_files("supervisor/core")
        for name in {name.partition(".")[0] for name in imports(path)}
        if name in NOT_IN_CORE
    ]
    assert bad == []


def test_the_rules_can_fail() -> None:
    swapped = dict(SUPERVISOR, console=set[str](), core={"config"}, config=set[str]())
    assert violations("supervisor", swapped)
