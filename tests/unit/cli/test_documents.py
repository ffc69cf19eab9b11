"""The operator's pages name every verb, exit code and alert field there is."""

import argparse
import re
from dataclasses import fields
from pathlib import Path

import pytest

from supervisor.alerts.model import Alert
from supervisor.cli.exits import Exit
from supervisor.cli.parser import build_parser

ROOT = Path(__file__).resolve().parents[3]
PAGES = [ROOT / "docs" / "operations.md", ROOT / "docs" / "zh" / "operations.md"]


def verbs() -> set[str]:
    for action in build_parser()._actions:
        if isinstance(action, argparse._SubParsersAction):
            return set(action.choices)
    raise AssertionError("the parser has no verbs")


@pytest.mark.parametrize("page", PAGES, ids=["en", "zh"])
def test_every_verb_and_exit_code_is_documented(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    named = set(re.findall(r"^\| `([a-z-]+)[ `]", text, re.MULTILINE))
    assert named == verbs()
    codes = {int(code) for code in re.findall(r"^\| (\d+) \|", text, re.MULTILINE)}
    assert codes == {int(code) for code in Exit}


@pytest.mark.parametrize("page", PAGES, ids=["en", "zh"])
def test_every_alert_field_and_link_is_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for field in fields(Alert):
        assert f'"{field.name}": ' in text
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        assert (page.parent / target).exists(), target


def test_the_documented_check_of_a_signature_works() -> None:
    import time

    from supervisor.alerts.sinks import signature

    for page in PAGES:
        (code,) = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
        names: dict[str, object] = {}
        exec(code, names)
        is_genuine = names["is_genuine"]
        assert callable(is_genuine)
        now = int(time.time())
        assert is_genuine(b"key", b"{}", signature(b"key", b"{}", now))
        assert not is_genuine(b"key", b"{ }", signature(b"key", b"{}", now))
        assert not is_genuine(b"key", b"{}", signature(b"key", b"{}", now - 1000))
