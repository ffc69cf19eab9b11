from string import Formatter

import pytest

from supervisor.console.catalogue import CATALOGUES, LANGUAGES, Words
from supervisor.console.pages import choose_language
from supervisor.console.view import STEPS, overview
from supervisor.core.model import Cause
from supervisor.core.model import Phase as CorePhase
from tests.unit.console.fake import FakeSupervisor, event, story


def test_both_languages_say_the_same_things_with_the_same_values() -> None:
    english, chinese = CATALOGUES["en"], CATALOGUES["zh-CN"]
    assert set(CATALOGUES) == set(LANGUAGES)
    assert list(english) == list(chinese)
    for key, text in english.items():
        fields = {name for _, name, _, _ in Formatter().parse(text) if name}
        assert fields == {name for _, name, _, _ in Formatter().parse(chinese[key]) if name}, key
        assert chinese[key].strip()


@pytest.mark.parametrize("language", list(LANGUAGES))
def test_every_phase_of_the_protocol_has_a_word(language: str) -> None:
    words = Words(language)
    from_core = [str(phase) for phase in CorePhase]
    for name in (*from_core, "backoff", "broken", "down"):
        assert words(f"phase.{name}")
    for cause in Cause:
        assert words(f"cause.{cause}")
    for step in STEPS:
        assert words(f"step.{step}")
    assert words.term("phase", "some_new_phase") == "some new phase"
    assert words.state_text("some new state") == words("state.unknown.text")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.0 s"),
        (0.01, "10 ms"),
        (0.3, "0.3 s"),
        (9.94, "9.9 s"),
        (42.4, "42 s"),
        (60, "1 min"),
        (250, "4 min 10 s"),
        (3600, "1 h"),
        (93784, "1 d 2 h"),
        (-5, "0.0 s"),
    ],
)
def test_durations_are_said_as_people_do(seconds: float, text: str) -> None:
    assert Words("en").duration(seconds) == text


def test_an_overview_is_made_of_whatever_is_there() -> None:
    empty = overview({}, [])
    assert (empty.state, empty.workers, empty.events, empty.in_flight) == ("", (), (), None)
    odd = overview(
        {"state": 5, "gateway": [], "workers": [{"name": None}, 7], "uptime_seconds": "x"},
        [{"phases": [{"name": "load"}, 3], "evidence": 4}],
    )
    assert odd.state == "5"
    assert len(odd.workers) == 1
    assert odd.events[0].seconds == 0.0


def test_the_expected_pause_is_the_median_of_whole_restarts_of_that_worker() -> None:
    rows = [
        event(1, phases=[{"name": "load", "seconds": 4}]),
        event(2, phases=[{"name": "load", "seconds": 100}]),
        event(3, phases=[{"name": "load", "seconds": 6}]),
        event(4, phases=[{"name": "stop", "seconds": 900}]),
        event(5, worker="worker-1", phases=[{"name": "load", "seconds": 900}]),
    ]
    zero, one = overview(FakeSupervisor().status(), rows).workers
    assert zero.expected_pause_seconds == 6
    assert one.expected_pause_seconds == 900
    assert zero.in_flight == 3


def test_phases_fill_the_bar_exactly() -> None:
    newest = overview(FakeSupervisor().status(), story()).events[0]
    assert newest.id == "6"
    last = newest.phases[-1]
    assert last.start + last.share == pytest.approx(100)
    assert newest.seconds == pytest.approx(6.18)


@pytest.mark.parametrize(
    ("cookie", "accept", "language"),
    [
        ("zh-CN", "en", "zh-CN"),
        ("xx", "zh", "zh-CN"),
        (None, "zh-Hant-TW,en;q=0.9", "zh-CN"),
        (None, "en;q=0.2, zh;q=0.7", "zh-CN"),
        (None, "zh;q=0, en", "en"),
        (None, "fr, *;q=0.5", "en"),
        (None, ";;,q=,zh;q=x", "en"),
        (None, "", "en"),
    ],
)
def test_the_cookie_wins_then_the_browser(cookie: str | None, accept: str, language: str) -> None:
    assert choose_language(cookie, accept) == language


def test_the_running_phase_of_a_replacement_says_more_than_the_state() -> None:
    status = FakeSupervisor().status()
    workers = status["workers"]
    assert isinstance(workers, list)
    workers[0] |= {"state": "warming", "phase": "verify"}
    workers[1] |= {"state": "ready", "phase": None}
    zero, one = overview(status, []).workers
    assert zero.step is not None
    assert STEPS[zero.step] == "verify"
    assert one.step is None
