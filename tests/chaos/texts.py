"""The two public-domain texts the tests use as real input."""

from pathlib import Path

DATA = Path(__file__).resolve().parents[1] / "data"

ENGLISH = (DATA / "genesis-kjv.txt").read_text(encoding="utf-8")
CHINESE = (DATA / "tang-poems.txt").read_text(encoding="utf-8")
