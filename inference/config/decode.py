"""Strict decoding of parsed YAML or JSON into frozen dataclasses; finds all problems at once.

Understands what configuration groups are made of: bool, int, float, str, Literal, `X | None`,
tuples of one type, mappings from names to a group, and groups inside groups. Nothing is converted
silently: true is not 1, "8" is not 8. A whole number is accepted where a float is wanted.
"""

from __future__ import annotations

import dataclasses
import difflib
import types
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import (
    TYPE_CHECKING,
    Literal,
    NoReturn,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

_D = TypeVar("_D", bound="DataclassInstance")
_WORDS = {bool: "true or false", int: "a whole number", float: "a number", str: "text"}


@dataclass(frozen=True, slots=True)
class ConfigProblem:
    """One reason why a configuration is refused."""

    path: str
    """Dotted path of the key, for example inference.kv.slots."""
    message: str


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of a number; kept in a field's metadata under `limits`."""

    low: float | None = None
    high: float | None = None
    step: int | None = None


class _RefusedError(Exception):
    """The value has no decoded form; the problem is already noted."""


def decode_mapping(
    cls: type[_D], raw: object, path: str, problems: list[ConfigProblem], base: _D | None = None
) -> _D | None:
    """`raw` as an instance of `cls`, or None with the reasons appended to `problems`.

    Keys that are absent take their value from `base`, if given, else the default of the field.
    """
    if not isinstance(raw, Mapping):
        problems.append(ConfigProblem(path, f"must be a mapping, not {_describe(raw)}"))
        return None
    fields = {item.name: item for item in dataclasses.fields(cls)}
    hints = _hints(cls)
    values: dict[str, object] = {}
    before = len(problems)
    for key, value in raw.items():
        if key not in fields:
            problems.append(ConfigProblem(f"{path}.{key}", unknown_key(key, fields)))
            continue
        default = _default(fields[key], base)
        limits = fields[key].metadata.get("limits")
        translate = fields[key].metadata.get("translate")
        try:
            own = translate(value, f"{path}.{key}", problems) if translate else value
            decoded = _decode(hints[key], own, f"{path}.{key}", problems, default)
            _check_limits(decoded, limits, f"{path}.{key}", problems)
        except _RefusedError:
            continue
        values[key] = decoded
    if len(problems) > before:
        return None
    return cls(**values) if base is None else dataclasses.replace(base, **values)


@cache
def _hints(cls: type[object]) -> dict[str, object]:
    return get_type_hints(cls)


def _default(item: dataclasses.Field[object], base: object) -> object:
    if base is not None:
        return getattr(base, item.name)
    if item.default_factory is not dataclasses.MISSING:
        return item.default_factory()
    return None if item.default is dataclasses.MISSING else item.default


def _decode(
    kind: object, value: object, path: str, problems: list[ConfigProblem], default: object
) -> object:
    """`value` as `kind`; when it cannot be, appends to `problems` and raises _RefusedError."""
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        options = [option for option in get_args(kind) if option is not type(None)]
        return None if value is None else _decode(options[0], value, path, problems, default)
    if origin is Literal:
        return _choice(get_args(kind), value, path, problems)
    if origin is tuple:
        return _items(get_args(kind)[0], value, path, problems)
    if origin is Mapping:
        return _named_groups(get_args(kind)[1], value, path, problems, default)
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        group = decode_mapping(kind, value, path, problems)
        if group is None:
            raise _RefusedError
        return group
    return _scalar(kind, value, path, problems)


def _scalar(kind: object, value: object, path: str, problems: list[ConfigProblem]) -> object:
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:
        word = _WORDS[kind] if isinstance(kind, type) else str(kind)
        _refuse(path, f"must be {word}, not {_describe(value)}", problems)
    return value


def _choice(
    options: tuple[object, ...], value: object, path: str, problems: list[ConfigProblem]
) -> object:
    if not isinstance(value, str) or value not in options:
        names = [str(option) for option in options]
        hint = _did_you_mean(str(value), names)
        _refuse(path, f"must be one of {', '.join(names)}, not {value!r}{hint}", problems)
    return value


def _items(
    kind: object, value: object, path: str, problems: list[ConfigProblem]
) -> tuple[object, ...]:
    if not isinstance(value, list | tuple):
        _refuse(path, f"must be a list, not {_describe(value)}", problems)
    return tuple(
        _decode(kind, item, f"{path}.{index}", problems, None) for index, item in enumerate(value)
    )


def _named_groups(
    cls: type[DataclassInstance],
    value: object,
    path: str,
    problems: list[ConfigProblem],
    default: object,
) -> Mapping[str, object]:
    """Groups by name, laid over the default ones; a known name changes only the keys given."""
    if not isinstance(value, Mapping):
        _refuse(path, f"must be a mapping, not {_describe(value)}", problems)
    merged = dict(default) if isinstance(default, Mapping) else {}
    for name, raw in value.items():
        if not isinstance(name, str):
            problems.append(ConfigProblem(f"{path}.{name}", "names must be text"))
            continue
        group = decode_mapping(cls, raw, f"{path}.{name}", problems, merged.get(name))
        if group is not None:
            merged[name] = group
    return MappingProxyType(merged)


def _check_limits(
    value: object, limits: Limits | None, path: str, problems: list[ConfigProblem]
) -> None:
    if limits is None or not isinstance(value, int | float):
        return
    # "not >=" rather than "<": it refuses NaN too.
    if limits.low is not None and not value >= limits.low:
        _refuse(path, f"must be at least {limits.low:,}, not {value:,}", problems)
    if limits.high is not None and not value <= limits.high:
        _refuse(path, f"must be at most {limits.high:,}, not {value:,}", problems)
    if limits.step is not None and value % limits.step:
        near = max(limits.step, round(value / limits.step) * limits.step)
        _refuse(path, f"must be a multiple of {limits.step}, such as {near}", problems)


def _refuse(path: str, message: str, problems: list[ConfigProblem]) -> NoReturn:
    problems.append(ConfigProblem(path, message))
    raise _RefusedError


def unknown_key(key: object, known: Iterable[str]) -> str:
    """What to say about a key that does not exist."""
    return f"unknown key{_did_you_mean(str(key), list(known))}"


def _did_you_mean(word: str, known: list[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return f" (did you mean `{close[0]}`?)" if close else ""


def _describe(value: object) -> str:
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    return "null" if value is None else repr(value)
