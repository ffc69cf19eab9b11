"""Members of JSON objects read with their type and bounds, the culprit named."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NoReturn, TypeVar

from inference.errors import RequestError

_N = TypeVar("_N", int, float)


def wrong(param: str, wanted: str) -> NoReturn:
    """Refuse the request because of one of its members."""
    raise RequestError("invalid_request", f"{param} must be {wanted}", param)


def read_object(body: Mapping[str, object], name: str) -> Mapping[str, object]:
    """An object, empty if there is none. Raises RequestError, as all these do."""
    value = body.get(name)
    if value is None:
        return {}
    if not isinstance(value, dict):
        wrong(name, "an object")
    return value


def read_string(body: Mapping[str, object], name: str, prefix: str = "") -> str | None:
    """A string; `prefix` is the path of `body` in the request."""
    value = body.get(name)
    if value is None or isinstance(value, str):
        return value
    wrong(prefix + name, "a string")


def read_flag(body: Mapping[str, object], name: str, prefix: str = "") -> bool:
    """True or false; false if there is none."""
    value = body.get(name)
    if value is None or isinstance(value, bool):
        return bool(value)
    wrong(prefix + name, "true or false")


def read_integer(
    body: Mapping[str, object], name: str, low: int | None, high: int | None, prefix: str = ""
) -> int | None:
    """A whole number from `low` to `high`; 1.0 and true are none."""
    value = body.get(name)
    if value is None:
        return None
    if type(value) is not int:
        wrong(prefix + name, "a whole number")
    return _within(value, prefix + name, low, high)


def read_number(body: Mapping[str, object], name: str, low: float, high: float) -> float | None:
    """A number from `low` to `high`."""
    value = body.get(name)
    return None if value is None else number(value, name, low, high)


def number(value: object, param: str, low: float, high: float) -> float:
    """`value` if it is a number from `low` to `high`."""
    if type(value) not in (int, float) or not isinstance(value, int | float):
        wrong(param, "a number")
    if isinstance(value, float) and not math.isfinite(value):
        wrong(param, "a finite number")
    return float(_within(value, param, low, high))


def read_ids(
    body: Mapping[str, object], name: str, limit: int | None, prefix: str = ""
) -> list[int]:
    """Token ids, at most `limit`; none if the member is missing."""
    value = body.get(name)
    if value is None:
        return []
    if not isinstance(value, list) or any(type(item) is not int or item < 0 for item in value):
        wrong(prefix + name, "a list of token ids")
    if limit is not None and len(value) > limit:
        wrong(prefix + name, f"a list of at most {limit} token ids")
    return value


def _within(value: _N, param: str, low: _N | None, high: _N | None) -> _N:
    if low is not None and value < low:
        wrong(param, f"at least {low}")
    if high is not None and value > high:
        wrong(param, f"at most {high}")
    return value
