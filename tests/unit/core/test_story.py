"""The story of a restart is bounded, and no second of it is lost."""

from supervisor.core.model import Cause, Replacement
from supervisor.core.story import MAX_PHASES, turn_page


def test_an_endless_restart_has_a_bounded_story_with_all_its_seconds() -> None:
    told = Replacement("d", Cause.CRASH, "why", "supervisor", (), None, 0.0, "decide", 0.0)
    for n in range(1, 400):
        told = turn_page(told, ("gone", "hold", "load")[n % 3], float(n))

    assert len(told.phases) == MAX_PHASES
    assert sum(phase.seconds for phase in told.phases) == 399.0


def test_the_same_phase_again_is_no_new_page() -> None:
    told = Replacement("d", Cause.CRASH, "why", "supervisor", (), None, 0.0, "stop", 0.0)

    assert turn_page(told, "stop", 5.0) is told
