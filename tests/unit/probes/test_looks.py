"""GPU memory, process costs, warm-up answers."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from supervisor.child.procfs import identify
from supervisor.core.events import Outcome
from supervisor.probes.gpu_memory import NO_GPU, judge, read_memory
from supervisor.probes.nvml import look
from supervisor.probes.process import read_process
from supervisor.probes.warm_up import BadAnswerError, check_stream, warm_up
from tests.unit.probes.server import json_answer, serving, text_answer

EPOCH = "a" * 32
GPUS = {"gpus": [{"index": 0, "used_bytes": 5, "total_bytes": 9, "pids": [11, 12]}]}


@pytest.mark.parametrize(
    ("answer", "pids", "outcome"),
    [
        (GPUS, {11}, Outcome.FAILED),
        (GPUS, {13}, Outcome.OK),
        ({"error": "no_library"}, {11}, Outcome.OK),
        ({"gpus": []}, {11}, Outcome.OK),
        ({"error": "driver mismatch"}, {11}, Outcome.UNKNOWN),
        ([], {11}, Outcome.UNKNOWN),
    ],
)
def test_what_an_answer_says(answer: object, pids: set[int], outcome: Outcome) -> None:
    assert judge(json.dumps(answer).encode(), pids).outcome is outcome


def test_a_look_that_hangs_or_dies_is_unknown() -> None:
    hangs = (sys.executable, "-c", "import time; time.sleep(60)")
    assert asyncio.run(read_memory({1}, 0.3, hangs)).outcome is Outcome.UNKNOWN
    dies = (sys.executable, "-c", "raise SystemExit(1)")
    assert asyncio.run(read_memory({1}, 10, dies)).outcome is Outcome.UNKNOWN
    missing = ("/no/such/program",)
    assert asyncio.run(read_memory({1}, 10, missing)).outcome is Outcome.UNKNOWN


@pytest.mark.skipif(os.path.exists("/dev/nvidiactl"), reason="this machine has a GPU")
def test_a_machine_without_gpu_has_nothing_to_give_back() -> None:
    assert "error" in look()
    reading = asyncio.run(read_memory({1}, 30, (sys.executable, "-m", "supervisor.probes.nvml")))
    assert reading == asyncio.run(read_memory({1}, 30))
    assert reading.detail == NO_GPU


def test_costs_of_a_process_and_of_its_successor_under_that_pid() -> None:
    own = identify(os.getpid())
    assert own is not None
    hertz = os.sysconf("SC_CLK_TCK")
    reading = read_process(own.pid, own.start_ticks, hertz)
    assert reading.outcome is Outcome.OK
    assert reading.rss_bytes > 1_000_000
    assert reading.descriptors > 2
    assert read_process(own.pid, own.start_ticks - 100 * hertz, hertz).outcome is Outcome.REFUSED
    assert read_process(2**22 + 1, 1, hertz).outcome is Outcome.REFUSED


def test_dead_children_are_counted_until_they_are_collected() -> None:
    own, hertz = identify(os.getpid()), os.sysconf("SC_CLK_TCK")
    assert own is not None
    before = read_process(own.pid, own.start_ticks, hertz).zombies
    child = subprocess.Popen(["/bin/true"])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert read_process(own.pid, own.start_ticks, hertz).zombies == before + 1
    child.wait()
    assert read_process(own.pid, own.start_ticks, hertz).zombies == before


def chunk(index: int, ids: list[int], text: str = "", **extra: object) -> str:
    choice = {"delta": {"content": text}, "finish_reason": extra.pop("finish", None)}
    mark = {"epoch": EPOCH, "index": index, "token_ids": ids, "fingerprint": "f", **extra}
    return "data: " + json.dumps({"choices": [choice], "glyph": mark})


GOOD = [chunk(0, []), chunk(0, [1, 2], "ab"), chunk(2, [3], "c", finish="stop"), "data: [DONE]"]


async def lines_of(lines: list[str]) -> AsyncIterator[str]:
    for line in lines:
        yield line


def test_a_whole_answer() -> None:
    reading = asyncio.run(check_stream(lines_of(GOOD), EPOCH))
    assert (reading.text, reading.tokens, reading.fingerprint) == ("abc", 3, "f")


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        (GOOD[:-1], "without"),
        ([*GOOD[:2], GOOD[3]], "finish_reason"),
        ([GOOD[0], GOOD[2], GOOD[3]], "index 2 where 0"),
        ([chunk(0, [], finish="stop"), GOOD[3]], "no token"),
        ([chunk(0, [1], epoch="b" * 32, finish="stop"), GOOD[3]], "epoch"),
        ([*GOOD[:3], chunk(3, [4]), GOOD[3]], "after its end"),
        (['data: {"error": {"message": "boom"}}'], "boom"),
    ],
)
def test_what_is_wrong_with_an_answer(lines: list[str], problem: str) -> None:
    with pytest.raises(BadAnswerError, match=problem):
        asyncio.run(check_stream(lines_of(lines), EPOCH))


def test_warm_up_over_a_socket(tmp_path: Path) -> None:
    path = tmp_path / "s"
    body = "\n\n".join(GOOD) + "\n\n"

    async def ask(canary: object, stream: str) -> str:
        answers = {
            "/control/canary": json_answer(200, canary),
            "/v1/chat/completions": text_answer(200, stream, "text/event-stream"),
        }
        async with serving(path, answers) as heads:
            reading = await warm_up(path, EPOCH, 3, 5.0)
            if not reading.problem:
                assert "glyph-journal: 1" in heads[-1].lower()
            return reading.problem

    request: object = {"request": {"messages": []}}
    assert asyncio.run(ask(request, body)) == ""
    assert "without [DONE]" in asyncio.run(ask(request, GOOD[0] + "\n\n"))
    assert "agreed shape" in asyncio.run(ask({}, body))
    assert "agreed shape" in asyncio.run(ask(request, "data: {}\n\n"))
    assert asyncio.run(warm_up(path, EPOCH, 3, 5.0)).problem
