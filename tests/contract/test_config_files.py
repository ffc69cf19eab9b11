"""The shipped configuration names every key with its default and its sentence."""

import ast
import dataclasses
import inspect
import re
from pathlib import Path

import yaml
from pydantic import BaseModel

import inference.config
from inference.config import InferenceConfig
from supervisor.config.decode import load
from supervisor.config.model import Configuration, ExecHook, Webhook
from supervisor.config.schema import schema_text

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "etc" / "supervisor.yaml"
TEXT = FILE.read_text(encoding="utf-8")
RAW = yaml.compose(TEXT)


def comment_above(line: int) -> str:
    """The comment that ends right above a line (from 0), as one line of text."""
    found: list[str] = []
    lines = TEXT.splitlines()
    while line > 0 and lines[line - 1].lstrip().startswith("#"):
        line -= 1
        found.insert(0, lines[line].lstrip().removeprefix("#").strip())
    return " ".join(found)


def keys(node: yaml.Node, path: str = "") -> dict[str, int]:
    """Every dotted key with its line."""
    found: dict[str, int] = {}
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            found[path + key.value] = key.start_mark.line
            found |= keys(value, f"{path}{key.value}.")
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            found |= keys(item, path)
    return found


def documented(group: type[BaseModel], path: str = "") -> dict[str, str]:
    """Every dotted key of the model with its sentence."""
    found: dict[str, str] = {}
    for name, field in group.model_fields.items():
        found[path + name] = field.description or ""
        annotation = field.annotation
        inner = [annotation, *getattr(annotation, "__args__", ())]
        for candidate in inner:
            if isinstance(candidate, type) and issubclass(candidate, BaseModel):
                found |= documented(candidate, f"{path}{name}.")
    return found


def inference_documented() -> dict[str, str]:
    """Every dotted key of the worker's configuration with its sentence."""
    sentences: dict[tuple[str, str], str] = {}
    for node in ast.parse(inspect.getsource(inference.config)).body:
        if isinstance(node, ast.ClassDef):
            for field, text in zip(node.body, node.body[1:], strict=False):
                if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr):
                    assert isinstance(field.target, ast.Name)
                    sentences[node.name, field.target.id] = ast.literal_eval(text.value)
    return dict(_walk(InferenceConfig(), "inference.", sentences))


def _walk(group: object, path: str, sentences: dict[tuple[str, str], str]) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    assert dataclasses.is_dataclass(group)
    for field in dataclasses.fields(group):
        found.append((path + field.name, sentences[type(group).__name__, field.name]))
        value = getattr(group, field.name)
        if field.name == "profiles":
            inner = f"{path}profiles.glyph-en."
            found += _walk(value["glyph-en"], inner, sentences)
        elif dataclasses.is_dataclass(value):
            found += _walk(value, f"{path}{field.name}.", sentences)
    return found


def test_the_shipped_file_is_correct_and_all_defaults() -> None:
    configuration = load(FILE)
    assert configuration.model_copy(update={"inference": {}}) == Configuration()
    assert inference.config.decode(configuration.inference) == InferenceConfig()


def test_every_key_is_shown_with_its_sentence() -> None:
    assert RAW is not None
    shown = keys(RAW)
    expected = documented(Configuration) | inference_documented()
    hooks = ("alerts.webhooks.", "alerts.exec.")
    for name, sentence in expected.items():
        if name.startswith(hooks):
            continue
        assert name in shown, name
        assert sentence, f"{name} has no sentence"
        assert comment_above(shown[name]).startswith(sentence), name
    assert set(shown) - set(expected) == {"inference.render.profiles.glyph-en"}


def test_the_examples_of_receivers_show_every_key_with_its_sentence() -> None:
    comments = re.sub(r"\s*\n\s*(#\s*)+", " ", TEXT)
    for group in (Webhook, ExecHook):
        for name, field in group.model_fields.items():
            assert field.description
            assert re.search(re.escape(field.description) + rf" (- )?{name}: \S", comments), name


def test_the_schema_is_up_to_date_and_named_in_the_file() -> None:
    schema = ROOT / "etc" / "supervisor.schema.json"
    assert schema.read_text(encoding="utf-8") == schema_text()
    assert TEXT.startswith(f"# yaml-language-server: $schema={schema.name}\n")
