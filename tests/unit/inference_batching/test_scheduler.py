"""The scheduler decides without torch, threads or time."""

from __future__ import annotations

import subprocess
import sys

from inference.batching.request import Job
from inference.batching.scheduler import Fill, Plan, Scheduler, See
from inference.engine.values import ImagePlace
from tests.unit.inference_batching.fakes import job


def commit(plan: Plan) -> None:
    """Do what an engine would."""
    for work in plan.prompts:
        if isinstance(work, See):
            work.job.pages.popleft()
            work.job.images_seen += 1
        else:
            work.job.filled += work.count


def scheduler(*jobs: Job, slots: int = 2, budget: int = 8) -> Scheduler:
    made = Scheduler(slots, 16, budget)
    for each in jobs:
        assert made.submit(each)
    made.admit()
    return made


def test_importing_it_imports_no_torch() -> None:
    code = "import sys, inference.batching.scheduler; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_slots_go_to_who_waited_longest_lowest_first() -> None:
    jobs = [job(name) for name in "abcd"]
    made = scheduler(*jobs)
    assert [(each.id, each.slot) for each in made.running] == [("a", 0), ("b", 1)]
    assert made.admit() == []
    made.remove(jobs[0])
    assert [each.id for each in made.admit()] == ["c"]
    assert jobs[2].slot == 0
    assert len(made) == 3


def test_waiting_is_bounded() -> None:
    made = Scheduler(1, 2, 8)
    assert [made.submit(job(str(number))) for number in range(3)] == [True, True, False]


def test_a_long_prompt_is_computed_in_pieces_of_the_budget() -> None:
    long = job("long", range(20))
    made = scheduler(long)
    pieces = []
    while not long.decoding:
        plan = made.plan()
        assert plan.decode == ()
        pieces += [work.count for work in plan.prompts if isinstance(work, Fill)]
        commit(plan)
    assert pieces == [8, 8, 4]


def test_running_answers_decode_while_others_prefill() -> None:
    short, long = job("short", range(4)), job("long", range(100))
    made = scheduler(short, long)
    commit(made.plan())
    assert short.decoding
    for _ in range(5):
        plan = made.plan()
        assert plan.decode == (short,)
        assert plan.prompts == (Fill(long, 8),)
        commit(plan)


def test_short_prompts_share_a_step() -> None:
    first, second = job("a", range(3)), job("b", range(9))
    plan = scheduler(first, second).plan()
    assert plan.prompts == (Fill(first, 3), Fill(second, 5))


def test_pages_come_before_the_prompt_one_at_a_time() -> None:
    places = [ImagePlace(0, 2, 2), ImagePlace(4, 2, 2)]
    seeing = job("a", range(10), images=places)
    made = scheduler(seeing)
    kinds = []
    while not seeing.decoding:
        plan = made.plan()
        kinds += [type(work) for work in plan.prompts]
        commit(plan)
    assert kinds == [See, See, Fill, Fill]


def test_a_page_larger_than_the_budget_is_still_seen() -> None:
    large = job("a", range(100), images=[ImagePlace(0, 9, 9)])
    made = scheduler(large, job("b"))
    assert made.plan().prompts == (See(large),)


def test_a_page_counts_against_the_budget() -> None:
    made = scheduler(job("a", range(10), images=[ImagePlace(0, 2, 3)]), job("b", range(9)))
    see, fill = made.plan().prompts
    assert isinstance(see, See)
    assert isinstance(fill, Fill)
    assert fill.count == 2


def test_emitted_tokens_of_an_earlier_attempt_are_computed_again() -> None:
    resumed = job("a", range(3), emitted=[4, 5])
    assert scheduler(resumed).plan().prompts == (Fill(resumed, 5),)


def test_find_and_remove_wherever_a_job_is() -> None:
    jobs = [job(name) for name in "abc"]
    made = scheduler(*jobs)
    assert made.find("c") is jobs[2]
    made.remove(jobs[2])
    made.remove(jobs[1])
    assert made.find("c") is None
    assert [each.id for each in made.running] == ["a"]
    assert not scheduler().plan()
