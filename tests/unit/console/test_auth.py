from supervisor.console.auth import Sessions, same_token
from tests.unit.console.browserlike import Clock

URL = "http://127.0.0.1:8900"


def make() -> tuple[Sessions, Clock]:
    clock = Clock()
    return Sessions(link_seconds=60, session_seconds=600, clock=clock), clock


def token_of(link: str) -> str:
    assert link.startswith(f"{URL}/login?once=")
    return link.partition("once=")[2]


def test_a_link_opens_one_session_once() -> None:
    sessions, _ = make()
    token = token_of(sessions.login_link(URL + "/"))
    cookie = sessions.open(token)
    assert cookie
    assert sessions.find(cookie)
    assert sessions.open(token) is None


def test_a_link_is_too_old_after_its_time() -> None:
    sessions, clock = make()
    token = token_of(sessions.login_link(URL))
    clock.now += 60
    assert sessions.open(token) is None


def test_a_session_ends_after_its_time_and_by_logging_out() -> None:
    sessions, clock = make()
    one = sessions.open(token_of(sessions.login_link(URL)))
    two = sessions.open(token_of(sessions.login_link(URL)))
    assert one
    assert two
    sessions.close(one)
    assert sessions.find(one) is None
    assert sessions.find(two)
    clock.now += 600
    assert sessions.find(two) is None
    assert sessions.find(None) is None
    assert sessions.find("") is None


def test_links_and_sessions_are_bounded_and_the_oldest_go() -> None:
    sessions, _ = make()
    first = token_of(sessions.login_link(URL))
    for _ in range(16):
        last = token_of(sessions.login_link(URL))
    assert sessions.open(first) is None
    oldest = sessions.open(last)
    assert oldest
    for _ in range(64):
        newest = sessions.open(token_of(sessions.login_link(URL)))
    assert sessions.find(oldest) is None
    assert sessions.find(newest)


def test_attempts_are_limited_and_come_back() -> None:
    sessions, clock = make()
    assert [sessions.attempt_delay_seconds() for _ in range(10)] == [0.0] * 10
    assert sessions.attempt_delay_seconds() == 3.0
    clock.now += 3.0
    assert sessions.attempt_delay_seconds() == 0.0
    assert sessions.attempt_delay_seconds() > 0


def test_tokens_differ_in_any_character() -> None:
    assert same_token("abc", "abc")
    assert not same_token("abc", "abd")
    assert not same_token("abc", "")
    assert not same_token("abc", "\udcff")
