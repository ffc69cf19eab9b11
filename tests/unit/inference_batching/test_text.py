from __future__ import annotations

import itertools

import pytest

from inference.batching.text import AnswerText, Piece, StopMatcher

END = 999


def spelled(*pieces: bytes) -> Piece:
    """A vocabulary in which token i is pieces[i]."""
    return lambda token: pieces[token] if token < len(pieces) else b""


def push_all(matcher: StopMatcher, text: str, size: int) -> list[str]:
    return [matcher.push(text[at : at + size]) for at in range(0, len(text), size)]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
@pytest.mark.parametrize(
    ("stops", "text", "shown", "matched"),
    [
        (("STOP",), "one two STOP three", "one two ", True),
        (("STOP",), "one STO two", "one STO two", False),
        (("STOP",), "ends with STO", "ends with STO", False),
        (("aab",), "aaab", "a", True),
        (("abab", "ba"), "xabab", "xa", True),
        (("long stop", "st"), "a long stop", "a long ", True),
        (("long stop", "stop"), "a long stop", "a ", True),
        (("b", "abc"), "xabc", "xa", True),
        (("落霞",), "孤鹜落霞齐飞", "孤鹜", True),
        ((), "anything", "anything", False),
        (("x",), "", "", False),
    ],
)
def test_stops(stops: tuple[str, ...], text: str, shown: str, matched: bool, size: int) -> None:
    matcher = StopMatcher(stops)
    released = "".join(push_all(matcher, text, size)) + matcher.flush()
    assert (released, matcher.matched) == (shown, matched)


def test_nothing_that_begins_a_stop_string_is_shown_early() -> None:
    matcher = StopMatcher(("STOP",))
    assert matcher.push("go ST") == "go "
    assert matcher.push("O") == ""
    assert matcher.push("N") == "STON"


def test_nothing_is_shown_behind_a_stop_string() -> None:
    matcher = StopMatcher(("STOP",))
    assert matcher.push("a STOP b") == "a "
    assert matcher.push("c") == ""
    assert matcher.flush() == ""


def test_characters_are_shown_whole() -> None:
    fox = "🦊".encode()
    text = AnswerText(spelled(b"a", fox[:1], fox[1:3], fox[3:], b"z"), (), frozenset({END}))
    assert [text.push(token) for token in (0, 1, 2, 3, 4)] == ["a", "", "", "🦊", "z"]
    assert text.released_bytes == len("a🦊z".encode())


def test_bytes_that_are_no_character_become_replacements() -> None:
    pieces = (b"\xff", b"\xf0\x9f", b"ok")
    text = AnswerText(spelled(*pieces), (), frozenset({END}))
    shown = "".join(text.push(token) for token in (0, 1, 2, 1)) + text.finish()
    assert shown == b"\xff\xf0\x9fok\xf0\x9f".decode("utf-8", "replace")
    assert text.released_bytes == len(shown.encode())


def test_an_end_token_shows_what_was_held() -> None:
    text = AnswerText(spelled(b"ST"), ("STOP",), frozenset({END}))
    assert text.push(0) == ""
    assert text.push(END) == "ST"
    assert text.ended


def test_a_stop_string_ends_the_answer_across_tokens() -> None:
    text = AnswerText(spelled(b"go S", b"TO", b"P!"), ("STOP",), frozenset({END}))
    shown = [(text.push(token), text.ended) for token in (0, 1, 2)]
    assert shown == [("go ", False), ("", False), ("", True)]
    assert text.finish() == ""


def test_replaying_any_beginning_restores_the_state() -> None:
    fox = "🦊".encode()
    pieces = (b"a", fox[:2], fox[2:], b" S", b"TO", b"X", b"P", "霞".encode()[:1], b"STOP", b"z")
    for tokens in itertools.islice(itertools.product(range(10), repeat=5), 0, None, 37):
        whole = AnswerText(spelled(*pieces), ("STOP", "X\u0050"), frozenset({END}))
        shown = [whole.push(token) for token in tokens]
        if whole.ended:
            continue
        for cut in range(len(tokens) + 1):
            again = AnswerText(spelled(*pieces), ("STOP", "X\u0050"), frozenset({END}))
            assert again.replay(tokens[:cut]) == "".join(shown[:cut])
            assert [again.push(token) for token in tokens[cut:]] == shown[cut:]
            assert again.released_bytes == whole.released_bytes
            assert again.finish() == AnswerTextEnd(whole, tokens, pieces).rest


class AnswerTextEnd:
    """What a fresh text holds back after `tokens`; `whole` itself must not be changed."""

    def __init__(self, whole: AnswerText, tokens: tuple[int, ...], pieces: tuple[bytes, ...]):
        copy = AnswerText(spelled(*pieces), ("STOP", "X\u0050"), frozenset({END}))
        copy.replay(tokens)
        assert copy.released_bytes == whole.released_bytes
        self.rest = copy.finish()
