"""Glyph's published way from text to pixels, as a process that waits for its turn.

`PYTHON benchmarks/render_peer.py LATIN_FONT CHINESE_FONT` (TrueType) reads one JSON line per run
(`{"text", "dpi"}`), draws the text with reportlab into a PDF, has poppler turn that into pixels
(pdf2image), and answers one JSON line: seconds of CPU (its own and poppler's) and of the wall
clock, and the pages. It needs reportlab, pdf2image and poppler-utils, and nothing of this project,
so it may live in another environment. What is done is what Glyph's renderer does with its
`config_en.json`: page, margins and type, paragraphs of 30 lines, coloured page and paragraph
backgrounds, cropping to the ink; without writing PNG files.
"""

from __future__ import annotations

import importlib.metadata
import io
import json
import os
import re
import subprocess
import sys
import time
from xml.sax.saxutils import escape

PAGE_PT, MARGIN_PT, SIZE_PT, LEADING_PT = (595, 842), 10, 9, 10
LINES_PER_PARAGRAPH = 30
PAGES_PER_CALL = 20


def main() -> None:
    """Answer until standard input ends."""
    import numpy
    import pdf2image
    import reportlab
    from reportlab.lib import colors
    from reportlab.lib.styles import ParagraphStyle
    from reportlab.pdfbase import pdfmetrics
    from reportlab.pdfbase.ttfonts import TTFont

    pdfmetrics.registerFont(TTFont("Page", sys.argv[1]))
    if os.path.exists(sys.argv[2]):
        pdfmetrics.registerFont(TTFont("Chinese", sys.argv[2]))
    white = colors.HexColor("#FFFFFF")
    style = ParagraphStyle(
        "Page", fontName="Page", fontSize=SIZE_PT, leading=LEADING_PT, backColor=white
    )
    chinese = ParagraphStyle("Chinese", style, fontName="Chinese", wordWrap="CJK")
    version = subprocess.run(["pdftoppm", "-v"], capture_output=True, text=True, check=True).stderr
    versions = {
        "reportlab": reportlab.Version,
        "pdf2image": importlib.metadata.version("pdf2image"),
        "numpy": numpy.__version__,
        "poppler": version.split()[2],
    }
    print(json.dumps({"versions": versions}), flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        cpu, wall = cpu_seconds(), time.perf_counter()
        has_chinese = re.search("[\u4e00-\u9fff]", asked["text"])
        pdf = to_pdf(asked["text"], chinese if has_chinese else style)
        pages = to_pixels(pdf, asked["dpi"], pdf2image, numpy)
        cpu, wall = cpu_seconds() - cpu, time.perf_counter() - wall
        print(json.dumps({"cpu_s": cpu, "wall_s": wall, "pages": pages}), flush=True)


def cpu_seconds() -> float:
    """CPU time of this process and of the children it has waited for."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def to_pdf(text, style):  # type: ignore[no-untyped-def]
    """The text as a PDF in memory."""
    from reportlab.platypus import Paragraph, SimpleDocTemplate

    marked = re.sub(" {2,}", lambda spaces: "&nbsp;" * len(spaces[0]), escape(text))
    lines = marked.split("\n")
    starts = range(0, len(lines), LINES_PER_PARAGRAPH)
    story = [Paragraph("<br/>".join(lines[at : at + LINES_PER_PARAGRAPH]), style) for at in starts]
    out = io.BytesIO()
    margins = dict.fromkeys(("leftMargin", "rightMargin", "topMargin", "bottomMargin"), MARGIN_PT)
    document = SimpleDocTemplate(out, pagesize=PAGE_PT, **margins)
    document.build(story, onFirstPage=background, onLaterPages=background)
    return out.getvalue()


def background(canvas, document):  # type: ignore[no-untyped-def]
    """The page's colour under its text."""
    canvas.saveState()
    canvas.setFillColorRGB(1, 1, 1)
    canvas.rect(0, 0, *document.pagesize, stroke=0, fill=1)
    canvas.restoreState()


def crop(pixels, is_last, numpy):  # type: ignore[no-untyped-def]
    """The page up to its rightmost ink and a margin; the last one also to its lowest."""
    grey = numpy.asarray(pixels.convert("L"))
    inked = numpy.abs(grey - numpy.median(grey[:2, :2])) > 5
    columns, rows = inked.any(axis=0).nonzero()[0], inked.any(axis=1).nonzero()[0]
    height, width = grey.shape
    if columns.size:
        width = min(width, columns[-1] + 1 + MARGIN_PT)
    if is_last and rows.size:
        height = min(height, rows[-1] + MARGIN_PT)
    return numpy.asarray(pixels.crop((0, 0, width, height)))


def to_pixels(pdf, dpi, pdf2image, numpy):  # type: ignore[no-untyped-def]
    """Number of pages, each of which has been an array of pixels."""
    total = pdf2image.pdfinfo_from_bytes(pdf)["Pages"]
    count = 0
    for first in range(1, total + 1, PAGES_PER_CALL):
        last = min(first + PAGES_PER_CALL - 1, total)
        for image in pdf2image.convert_from_bytes(pdf, dpi=dpi, first_page=first, last_page=last):
            count += 1
            assert crop(image, count == total, numpy).shape[2] == 3
    return count


if __name__ == "__main__":
    main()
