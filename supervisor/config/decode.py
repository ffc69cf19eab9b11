"""YAML into `Configuration`: all mistakes at once, with file, line, column and a suggestion."""

import copy
import difflib
import re
from collections.abc import Iterable
from pathlib import Path

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from supervisor.config.check import contradictions, timing_problems
from supervisor.config.document import (
    ConfigurationError,
    Document,
    Location,
    Problem,
    parse,
    read_text,
)
from supervisor.config.inference import inference_problems
from supervisor.config.model import Configuration

_YAML_1_1 = {
    "yes": "true",
    "on": "true",
    "y": "true",
    "no": "false",
    "off": "false",
    "n": "false",
}


def load(path: Path) -> Configuration:
    """Read and check a configuration file whole, the `inference:` block included.

    Raises ConfigurationError with all problems.
    """
    document = parse(read_text(path), str(path))
    configuration = _validate(document)
    document.problems += inference_problems(document)
    return _finish(document, configuration)


def decode(text: str, source: str = "configuration") -> Configuration:
    """Decode a text; what the inference package has to say about its block is not asked.

    Raises ConfigurationError with all problems.
    """
    document = parse(text, source)
    return _finish(document, _validate(document))


def _finish(document: Document, configuration: Configuration | None) -> Configuration:
    if document.problems or configuration is None:
        raise ConfigurationError(tuple(sorted(document.problems)))
    return configuration


def _validate(document: Document) -> Configuration | None:
    raw = document.value if document.value is not None else {}
    if document.problems and not isinstance(raw, dict):
        return None
    try:
        configuration = Configuration.model_validate(raw)
    except ValidationError as error:
        details = error.errors(include_url=False)
        document.problems += [_problem(detail, document) for detail in details]
        rest = _without(raw, [detail["loc"] for detail in details])
        if rest is not None:
            # Inequalities are left out: with a default in the place of a mistake they may mislead.
            _add(document, contradictions(rest))
        return None
    _add(document, contradictions(configuration))
    _add(document, timing_problems(configuration))
    return configuration


def _add(document: Document, found: Iterable[tuple[Location, str]]) -> None:
    document.problems += [document.problem(location, message) for location, message in found]


def _without(raw: object, mistakes: list[Location]) -> Configuration | None:
    """What is left when the wrong keys are taken out, if that is a configuration."""
    rest = copy.deepcopy(raw)
    for location in mistakes:
        holder = rest
        for part in location[:-1]:
            holder = holder[part] if isinstance(holder, dict | list) else None  # type: ignore[index]
        if isinstance(holder, dict):
            holder.pop(location[-1], None)
    try:
        return Configuration.model_validate(rest)
    except ValidationError:
        return None


def _problem(detail: ErrorDetails, document: Document) -> Problem:
    location: Location = detail["loc"]
    if detail["type"] == "extra_forbidden":
        known = _known_keys(location[:-1])
        return document.problem(
            location, f"unknown key{_did_you_mean(str(location[-1]), known)}", at_key=True
        )
    return document.problem(location, _message(detail))


def _message(detail: ErrorDetails) -> str:
    value: object = detail["input"]
    kind = detail["type"]
    expected = {
        "bool_type": "expected true or false",
        "int_type": "expected a whole number",
        "float_type": "expected a number",
        "string_type": "expected text",
        "list_type": "expected a list",
        "dict_type": "expected a mapping",
        "model_type": "expected a mapping",
        "missing": "is missing",
    }.get(kind)
    if kind == "missing":
        return "is missing"
    if expected is not None:
        return f"{expected}, not {_describe(value)}{_hint(kind, value)}"
    if kind == "literal_error":
        options = str(detail["ctx"]["expected"])
        names = re.findall(r"'([^']*)'", options)
        return f"expected {options}, not {_describe(value)}{_did_you_mean(str(value), names)}"
    text = detail["msg"].removeprefix("Value error, ").removeprefix("Input ")
    return text if kind == "value_error" else f"{text}, not {_describe(value)}"


def _hint(kind: str, value: object) -> str:
    """What to write instead, where YAML 1.1 or a habit suggests something else."""
    if kind == "string_type" and isinstance(value, bool | int | float):
        return f': write "{str(value).lower() if isinstance(value, bool) else value}" in quotes'
    if not isinstance(value, str):
        return ""
    if kind == "bool_type" and value.lower() in _YAML_1_1:
        return f": write {_YAML_1_1[value.lower()]}"
    digits = value.replace("_", "").lstrip("+-")
    if kind in ("int_type", "float_type") and digits.isascii() and digits.isdigit():
        return f": write {int(digits)}, without leading zeros, underscores or quotes"
    return ""


def _describe(value: object) -> str:
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else repr(value)[:80]


def _known_keys(location: Location) -> list[str]:
    """Keys of the group at a location, following lists of groups."""
    group: type[BaseModel] = Configuration
    for part in location:
        if isinstance(part, int):
            continue
        annotation = group.model_fields[part].annotation
        candidates = [annotation, *getattr(annotation, "__args__", ())]
        group = next(c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel))
    return list(group.model_fields)


def _did_you_mean(word: str, known: list[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return f" (did you mean '{close[0]}'?)" if close else ""
