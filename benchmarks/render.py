"""How fast text becomes pixels: `python -m benchmarks.render [--quick] [--json]`.

Against PIL drawing the very same lines with the same font file, and against Glyph's published way
(reportlab, PDF, poppler), from text in memory to arrays of pixels. Ours and theirs take turns; a
figure is the median of the ratios of CPU time, which other load on the machine hardly moves.

The peer needs reportlab, pdf2image and poppler-utils; they may live in another environment:
`--peer-python /path/to/python`. Without them its figure is left out and the reason printed.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import IO

import cairo
import numpy as np
from PIL import Image, ImageDraw, ImageFont, __version__, features

from inference.config import InferenceConfig, ProfileConfig
from inference.render import Style, pango, render_pages, resolve_style
from inference.render.layout import LineBreaker, _simple_breaker

ROOT = Path(__file__).parents[1]
DATA = ROOT / "tests" / "data"
PROFILES = InferenceConfig().render.profiles
CJK = ("/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc", 2)
LATIN = ("/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf", 0)
TRUETYPE_CHINESE = ("WenQuanYi Micro Hei", "/usr/share/fonts/truetype/wqy/wqy-microhei.ttc")
# The articles' canvas of 1024 x 512, rounded to multiples of 28 pixels, 16 px type.
CARD = replace(
    PROFILES["glyph-zh"],
    page_width_px=1036,
    page_height_px=504,
    font_size_pt=16.0,
    line_height_pt=20.0,
)
MIB = 2**20

Run = dict[str, object]
Seconds = float


def main(arguments: Sequence[str]) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.render", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer repetitions, shorter texts")
    parser.add_argument("--json", action="store_true", help="print JSON only")
    parser.add_argument("--peer-python", default=os.environ.get("GLYPH_BENCH_PYTHON"))
    options = parser.parse_args(arguments)
    found = measure(options.quick, options.peer_python or sys.executable)
    print(json.dumps(found, indent=None if options.json else 2))
    return 0


def measure(quick: bool, peer_python: str) -> dict[str, object]:
    """Machine, figures and runs."""
    repetitions = 5 if quick else 25
    chinese = (DATA / "tang-poems.txt").read_text("utf-8").replace("\n", "")
    latin = (DATA / "genesis-kjv.txt").read_text("utf-8")
    cases: list[tuple[str, str, ProfileConfig, tuple[str, int]]] = [
        ("cairo_vs_pil_300_zh", chinese[:300], CARD, CJK),
        ("cairo_vs_pil_page_zh", chinese, PROFILES["glyph-zh"], CJK),
        ("cairo_vs_pil_page_latin", latin.replace("\n", " "), PROFILES["glyph-en"], LATIN),
    ]
    figures: dict[str, float] = {}
    runs: list[Run] = []
    for name, text, profile, font in cases:
        run = against_pil(name, text, resolve_style(profile), font, repetitions)
        runs.append(run)
        figures[name] = float(str(run["ratio"]))
    machine = describe_machine()
    peer_runs, versions = against_reportlab(peer_python, quick)
    runs += peer_runs
    machine |= versions
    if "ratio" in peer_runs[-1]:
        figures["cairo_vs_reportlab_poppler"] = float(str(peer_runs[-1]["ratio"]))
    runs += [*first_pages(), *by_length(quick)]
    return {"machine": machine, "figures": figures, "runs": runs}


def describe_machine() -> dict[str, object]:
    """What the figures were measured on."""
    models = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    version = pango.library().pango.pango_version_string
    version.restype = ctypes.c_char_p
    return {
        "cores": os.cpu_count(),
        "cpu": models[0] if models else platform.processor(),
        "load_1min": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "cairo": cairo.cairo_version_string(),
        "pango": version().decode(),
        "pillow": __version__,
        "pillow_layout": "raqm" if features.check("raqm") else "basic",
        "numpy": np.__version__,
    }


def against_pil(name: str, text: str, style: Style, font: tuple[str, int], repetitions: int) -> Run:
    """The first page of a text: our way and PIL's, taking turns."""
    page = next(render_pages(text, style))
    text = text[: page.characters]
    with LineBreaker(style) as breaker:
        lines = [
            text[line.first_character : line.first_character + line.characters]
            for line in breaker.lines(text)
        ]
    pil_font = ImageFont.truetype(font[0], round(style.font_size_px), index=font[1])

    def ours() -> None:
        assert sum(page.characters for page in render_pages(text, style)) == len(text)

    def theirs() -> None:
        image = Image.new("RGB", (style.width_px, style.height_px), "white")
        draw = ImageDraw.Draw(image)
        for row, line in enumerate(lines):
            y = style.margin_y_px + row * style.line_height_px
            draw.text((style.margin_x_px, y), line, font=pil_font, fill="black")
        assert np.asarray(image).shape == page.pixels.shape

    pairs = [(timed(ours, 5), timed(theirs, 1)) for _ in range(repetitions + 1)][1:]
    return {
        "what": name,
        "characters": len(text),
        "page": f"{style.width_px}x{style.height_px}",
        **compared(pairs, "cairo", "pil"),
    }


def against_reportlab(python: str, quick: bool) -> tuple[list[Run], dict[str, object]]:
    """Whole documents: our way and Glyph's published one, taking turns. The figure's run is last.

    Chinese is only measured where there is a TrueType font for it: reportlab takes no other.
    """
    name = "cairo_vs_reportlab_poppler"
    command = [python, str(ROOT / "benchmarks" / "render_peer.py"), LATIN[0], TRUETYPE_CHINESE[1]]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as peer:
        assert peer.stdin
        assert peer.stdout
        assert peer.stderr
        hello = peer.stdout.readline()
        if not hello:
            error = peer.stderr.read().strip().splitlines()
            reason = f"not measured: {error[-1] if error else 'the peer ended'}"
            print(f"{name} {reason}; needs reportlab, pdf2image, poppler-utils", file=sys.stderr)
            return [{"what": name, "skipped": reason}], {}
        runs: list[Run] = []
        sums: list[tuple[Seconds, Seconds]] = []
        for what, text, style in documents():
            pairs, run = _take_turns(peer.stdin, peer.stdout, text, style, 3 if quick else 9)
            runs.append({"what": what, **run, **compared(pairs, "cairo", "reportlab_poppler")})
            if "page" not in what:
                both = zip(sums or [(0.0, 0.0)] * len(pairs), pairs, strict=True)
                sums = [(a + c, b + d) for (a, b), (c, d) in both]
        peer.stdin.close()
    what = f"{name}: all whole documents"
    runs.append({"what": what, **compared(sums, "cairo", "reportlab_poppler")})
    return runs, json.loads(hello)["versions"]


def documents() -> Iterator[tuple[str, str, Style]]:
    """Whole documents, and first pages of them."""
    latin = (DATA / "genesis-kjv.txt").read_text("utf-8")
    style = resolve_style(PROFILES["glyph-en"])
    yield "reportlab, latin document", latin, style
    yield "reportlab, latin, one page", latin[:6000], style
    family, file = TRUETYPE_CHINESE
    if Path(file).exists():
        chinese = (DATA / "tang-poems.txt").read_text("utf-8")
        style = resolve_style(replace(PROFILES["glyph-zh"], font_families=(family,)))
        yield "reportlab, chinese document", chinese, style
        yield "reportlab, chinese, one page", chinese[:2500], style


def _take_turns(
    asks: IO[str], answers: IO[str], text: str, style: Style, repetitions: int
) -> tuple[list[tuple[Seconds, Seconds]], Run]:
    pairs: list[tuple[Seconds, Seconds]] = []
    walls: list[float] = []
    pages = [0, 0]

    def ours() -> None:
        pages[0] = sum(1 for _ in render_pages(text, style))

    for _ in range(repetitions + 1):
        began = time.perf_counter()
        mine = timed(ours, 3)
        wall = (time.perf_counter() - began) / 3
        asks.write(json.dumps({"text": text, "dpi": 72}) + "\n")
        asks.flush()
        answer = json.loads(answers.readline())
        pages[1] = answer["pages"]
        pairs.append((mine, answer["cpu_s"]))
        walls.append(answer["wall_s"] / wall)
    return pairs[1:], {
        "characters": len(text),
        "pages": pages[0],
        "reportlab_pages": pages[1],
        "wall_ratio": round(statistics.median(walls[1:]), 2),
    }


def first_pages() -> Iterator[Run]:
    """A page in a process that has seen nothing of it, and the same one again."""
    for name, profile in (("genesis-kjv", "glyph-en"), ("tang-poems", "glyph-zh")):
        text = (DATA / f"{name}.txt").read_text("utf-8")
        style = resolve_style(PROFILES[profile])
        text = text[: next(render_pages(text, style)).characters]
        _simple_breaker.cache_clear()
        seconds = [timed(partial(_draw_all, text, style), 1) for _ in range(2)]
        yield {
            "what": f"{profile}, a page whose words were never seen",
            "characters": len(text),
            "cairo_ms": round(1000 * seconds[0], 3),
            "again_ms": round(1000 * seconds[1], 3),
        }


def _draw_all(text: str, style: Style) -> int:
    return sum(page.characters for page in render_pages(text, style))


def by_length(quick: bool) -> Iterator[Run]:
    """Time for each 1000 characters and memory while pages stream out, for longer and longer."""
    lengths = (10_000, 100_000) if quick else (10_000, 100_000, 1_000_000)
    for name, profile in (("tang-poems", "glyph-zh"), ("genesis-kjv", "glyph-en")):
        source = (DATA / f"{name}.txt").read_text("utf-8")
        style = resolve_style(PROFILES[profile])
        _draw_all(source, style)
        for length in lengths:
            text = (source * (length // len(source) + 1))[:length]
            gc.collect()
            before = most = rss_bytes()
            pages = 0
            cpu = time.process_time()
            for _ in render_pages(text, style):
                pages += 1
                most = max(most, rss_bytes())
            cpu = time.process_time() - cpu
            yield {
                "what": f"{length:,} characters, {profile}",
                "characters": length,
                "pages": pages,
                "cpu_ms_per_1000_characters": round(1e6 * cpu / length, 3),
                "memory_growth_mib": round((most - before) / MIB, 2),
                "text_mib": round(sys.getsizeof(text) / MIB, 2),
            }


def rss_bytes() -> int:
    """Resident memory of this process now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def timed(work: Callable[[], object], times: int) -> Seconds:
    """CPU seconds of one execution, over several in a row."""
    began = time.process_time()
    for _ in range(times):
        work()
    return (time.process_time() - began) / times


def compared(pairs: list[tuple[Seconds, Seconds]], ours: str, theirs: str) -> Run:
    """Median times in milliseconds, and the median of the ratios."""
    ratios = sorted(their / our for our, their in pairs)
    return {
        f"{ours}_ms": round(1000 * statistics.median(our for our, _ in pairs), 3),
        f"{theirs}_ms": round(1000 * statistics.median(their for _, their in pairs), 3),
        "ratio": round(statistics.median(ratios), 2),
        "ratio_range": [round(ratios[0], 2), round(ratios[-1], 2)],
        "repetitions": len(pairs),
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
