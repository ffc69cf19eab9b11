"""The two public-domain texts the tests use as real input."""

from pathlib import Path

DATA = Path(__file__).resolve().parents[1] / "data"


def _read(language: str) -> str:
    (path,) = DATA.glob(f"{language}*.txt")
    return path.read_text(encoding="utf-8")


ENGLISH = _read("en")
CHINESE = _read("zh")
