"""Strict YAML: values as they are written, with the line and column of each.

YAML 1.1, which PyYAML reads by default, turns `no` into false, `010` into 8, `4:30` into 270 and
`2026-01-01` into a date. Here a plain word is a number, `true`, `false` or `null` only in the
decimal forms of the YAML 1.2 core schema; everything else is text, and a key that wants a number or
a truth value then says so. Duplicate keys, aliases, tags and further documents are refused. Free of
pydantic: `glyphctl` uses it on its way to the daemon's socket.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path

import yaml

_MAX_BYTES = 1024 * 1024
_MAX_DEPTH = 32

_NULL = frozenset(("", "~", "null", "Null", "NULL"))
_TRUE = frozenset(("true", "True", "TRUE"))
_FALSE = frozenset(("false", "False", "FALSE"))
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(0|[1-9][0-9]*)(\.[0-9]+|(?=[eE]))([eE][-+]?[0-9]+)?")

Location = tuple[str | int, ...]
"""Where a value is in a document: keys and list indexes from the root."""


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One mistake; line and column count from 1, 0 means the file as a whole."""

    source: str
    line: int
    column: int
    path: str
    message: str

    def __str__(self) -> str:
        place = f"{self.source}:{self.line}:{self.column}" if self.line else self.source
        return f"{place}: {self.path}: {self.message}" if self.path else f"{place}: {self.message}"


class ConfigurationError(ValueError):
    """The configuration is refused; `problems` has all reasons in the order of the file."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


@dataclass(slots=True)
class Document:
    """A parsed file: its value, where everything stands, and what is wrong with its form."""

    source: str
    value: object = None
    keys: dict[Location, yaml.Mark] = field(default_factory=dict)
    values: dict[Location, yaml.Mark] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def problem(self, location: Location, message: str, *, at_key: bool = False) -> Problem:
        """A mistake at a location, or at the nearest enclosing one the file has."""
        exact = self.keys.get(location) if at_key else None
        mark = exact or self._nearest(location)
        line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
        return Problem(self.source, line, column, dotted(location), message)

    def _nearest(self, location: Location) -> yaml.Mark | None:
        for length in range(len(location), -1, -1):
            mark = self.values.get(location[:length]) or self.keys.get(location[:length])
            if mark is not None:
                return mark
        return None


def dotted(location: Location) -> str:
    """`("workers", 0, "gpu")` as `workers.0.gpu`."""
    return ".".join(str(part) for part in location)


def read_text(path: Path) -> str:
    """The file as text; ConfigurationError says in one line why it cannot be read."""
    try:
        with path.open("rb") as file:
            raw = file.read(_MAX_BYTES + 1)
        if len(raw) > _MAX_BYTES:
            raise ConfigurationError((_whole(path, f"is larger than {_MAX_BYTES} bytes"),))
        return raw.decode("utf-8-sig")
    except FileNotFoundError:
        raise ConfigurationError((_whole(path, "there is no such configuration file"),)) from None
    except OSError as error:
        raise ConfigurationError((_whole(path, f"cannot be read: {error.strerror}"),)) from None
    except UnicodeDecodeError as error:
        raise ConfigurationError((_whole(path, f"is not UTF-8 (byte {error.start})"),)) from None


def _whole(path: Path, message: str) -> Problem:
    return Problem(str(path), 0, 0, "", message)


def parse(text: str, source: str) -> Document:
    """Parse strictly; what is wrong with the form is in `problems` of the result."""
    document = Document(source)
    loader = _Loader(text)
    try:
        node = loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (0, 0)
        what = error.problem or error.context or "is not YAML"
        document.problems.append(Problem(source, line, column, "", what))
        return document
    except (yaml.YAMLError, RecursionError) as error:
        what = " ".join(str(error).split())[:200] or "is nested too deeply"
        document.problems.append(Problem(source, 0, 0, "", what))
        return document
    finally:
        loader.dispose()
    if node is not None:
        document.value = _convert(node, (), document)
    return document


class _RefusedError(yaml.MarkedYAMLError):
    def __init__(self, what: str, event: yaml.Event) -> None:
        mark = event.start_mark
        super().__init__(None, None, what, mark if isinstance(mark, yaml.Mark) else None)


class _Loader(yaml.SafeLoader):
    """Composes nodes only; refuses aliases, because one edit must change one thing."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event: yaml.Event = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent):
            raise _RefusedError(f"alias *{event.anchor} is not allowed: write it out", event)
        tag = getattr(event, "tag", None)
        if tag is not None:
            raise _RefusedError(f"tag {tag} is not allowed: write the value alone", event)
        return super().compose_node(parent, index)


def _convert(node: yaml.Node, location: Location, document: Document) -> object:
    document.values[location] = node.start_mark
    if len(location) > _MAX_DEPTH:
        document.problems.append(document.problem(location, "is nested too deeply"))
        return None
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, location, document)
    if isinstance(node, yaml.SequenceNode):
        return [
            _convert(item, (*location, index), document) for index, item in enumerate(node.value)
        ]
    is_plain = isinstance(node, yaml.ScalarNode) and node.style is None
    return _scalar(node.value) if is_plain else node.value


def _mapping(node: yaml.MappingNode, location: Location, document: Document) -> dict[str, object]:
    result: dict[str, object] = {}
    for key_node, value_node in node.value:
        key = key_node.value if isinstance(key_node, yaml.ScalarNode) else None
        if not isinstance(key, str) or key == "<<":
            what = "merging is not allowed: write it out" if key == "<<" else "is no name"
            mark = key_node.start_mark
            document.problems.append(
                Problem(document.source, mark.line + 1, mark.column + 1, dotted(location), what)
            )
            continue
        here = (*location, key)
        if key in result:
            line = document.keys[here].line + 1
            mark = key_node.start_mark
            what = f"is given twice, first in line {line}"
            document.problems.append(
                Problem(document.source, mark.line + 1, mark.column + 1, dotted(here), what)
            )
            continue
        document.keys[here] = key_node.start_mark
        result[key] = _convert(value_node, here, document)
    return result


def _scalar(text: str) -> object:
    """A plain scalar by the decimal part of the YAML 1.2 core schema."""
    if text in _NULL:
        return None
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    if _INTEGER.fullmatch(text) and len(text) < 20:
        return int(text)
    if _FLOAT.fullmatch(text) and len(text) < 40:
        return float(text)
    return text
