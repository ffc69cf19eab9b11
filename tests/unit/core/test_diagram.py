from pathlib import Path

from supervisor.core.diagram import edges, page
from supervisor.core.table import TABLE

DOCS = Path(__file__).resolve().parents[3] / "docs"


def test_page_is_up_to_date() -> None:
    written = (DOCS / "lifecycle.md").read_text()

    assert written == page(), "run: python -m supervisor.core.diagram > docs/lifecycle.md"


def test_page_has_every_edge_of_the_table() -> None:
    text = page()

    for start, end in edges():
        assert f"    {start.value} --> {end.value}: " in text
    assert sum(len(cell.to) for row in TABLE.values() for cell in row.values()) == sum(
        len(causes) for causes in edges().values()
    )
