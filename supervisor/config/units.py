"""Durations and sizes as people write them: `90`, `1.5`, `30s`, `1h30m`, `2GiB`, `512 MB`."""

import re

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_BYTES = {
    "b": 1,
    "kb": 1000,
    "mb": 1000**2,
    "gb": 1000**3,
    "kib": 1024,
    "mib": 1024**2,
    "gib": 1024**3,
}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]+)", re.IGNORECASE)


def parse_seconds(value: object) -> float:
    """Seconds from a number or a text such as `30s` or `1h30m`; ValueError says what is wrong."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError("expected a number of seconds or a text such as 30s or 1h30m")
    if not isinstance(value, str):
        return float(value)
    text = value.strip()
    parts = _DURATION.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f"{value!r} is no duration: write 30, 30s, 5m or 1h30m")
    return sum(float(number) * _SECONDS[unit] for number, unit in parts)


def parse_bytes(value: object) -> int:
    """Bytes from a number or a text such as `2GiB`; a bare `2G` is refused as ambiguous."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError("expected a number of bytes or a text such as 512MiB")
    if isinstance(value, int):
        return value
    match = _SIZE.fullmatch(value.strip())
    factor = _BYTES.get(match[2].lower()) if match else None
    if match is None or factor is None:
        raise ValueError(f"{value!r} is no size: write 1048576, 512MiB or 2GB")
    return int(float(match[1]) * factor)
