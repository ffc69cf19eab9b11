"""A strict reader of Prometheus' text format, for tests."""

from __future__ import annotations

import re

_SAMPLE = re.compile(r"([a-z_]+)(?:\{(.*)\})? (\S+)")
_LABEL = re.compile(r'([a-z_]+)="((?:[^"\\\n]|\\[\\"n])*)"(?:,|$)')
Series = dict[str, float]


def parse(text: str) -> Series:
    """Value by `name{labels}`; every family has its head, every name its form."""
    assert text.endswith("\n")
    found: Series = {}
    kinds: dict[str, str] = {}
    family = ""
    for line in text.splitlines():
        if line.startswith("# HELP "):
            family = line.split(" ")[2]
            assert family not in kinds
            assert family.startswith("glyph_")
        elif line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name == family
            assert (kind == "counter") == name.endswith("_total")
            kinds[name] = kind
        else:
            match = _SAMPLE.fullmatch(line)
            assert match, line
            name, labels, value = match.groups()
            endings = "(_bucket|_sum|_count)" if kinds[family] == "histogram" else ""
            assert re.fullmatch(re.escape(family) + endings, name), line
            assert _LABEL.sub("", labels or "") == "", line
            key = f"{name}{{{labels}}}" if labels else name
            assert key not in found
            found[key] = float(value)
    return found
