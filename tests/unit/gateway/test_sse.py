import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.gateway.sse import EventParser, EventTooLargeError, event

LINE_ENDS = st.sampled_from([b"\n", b"\r\n", b"\r"])
DATA = st.binary(max_size=40).map(lambda raw: raw.replace(b"\r", b"").replace(b"\n", b""))


@st.composite
def streams(draw: st.DrawFn) -> tuple[bytes, list[bytes]]:
    """A stream of events with noise in between, and the data it holds."""
    raw, expected = b"", []
    for lines in draw(st.lists(st.lists(DATA, min_size=1, max_size=3), max_size=6)):
        end = draw(LINE_ENDS)
        if draw(st.booleans()):
            raw += b": hold" + end
        if draw(st.booleans()):
            raw += b"id: 7" + end + b"event: x" + end
        raw += b"".join(b"data: " + line + end for line in lines) + end
        expected.append(b"\n".join(lines))
    return raw, expected


@given(streams(), st.data())
def test_any_chunking_gives_the_same_events(
    stream: tuple[bytes, list[bytes]], data: st.DataObject
) -> None:
    raw, expected = stream
    parser = EventParser()
    found: list[bytes] = []
    while raw:
        size = data.draw(st.integers(1, len(raw)))
        piece, raw = raw[:size], raw[size:]
        found += parser.feed(piece)
        assert parser.feed(b"") == []
    assert found == expected


def test_an_event_without_its_blank_line_is_none() -> None:
    parser = EventParser()
    assert parser.feed(b"data: whole\n\ndata: half\n") == [b"whole"]
    assert parser.feed(b"\n") == [b"half"]


def test_what_is_emitted_is_read_back() -> None:
    assert EventParser().feed(event(b'{"a": 1}')) == [b'{"a": 1}']


@pytest.mark.parametrize("raw", [b"data: " + b"x" * 200, b"data: x\n" * 200, b"x" * 200])
def test_events_are_bounded(raw: bytes) -> None:
    parser = EventParser(max_event_bytes=100)
    with pytest.raises(EventTooLargeError):
        parser.feed(raw)
