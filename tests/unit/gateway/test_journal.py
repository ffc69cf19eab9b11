from hypothesis import given
from hypothesis import strategies as st

from supervisor.gateway.journal import Fence, Journal
from tests.unit.gateway.chunks import chunk

ANSWER = [
    (token, text) for token, text in enumerate(["a", "é", "", "桥", "x", "🙂", "", "end"], 100)
]
PREFIX = [sum(len(text.encode()) for _, text in ANSWER[:n]) for n in range(len(ANSWER) + 1)]
EPOCHS = ("a", "b", "c")


@st.composite
def news(draw: st.DrawFn) -> tuple[str, int, int]:
    """A chunk some worker may send at any time: epoch, first index, number of tokens."""
    index = draw(st.integers(0, len(ANSWER)))
    return draw(st.sampled_from(EPOCHS)), index, draw(st.integers(0, len(ANSWER) - index))


@given(st.lists(st.one_of(st.sampled_from(EPOCHS), news()), max_size=80))
def test_no_interleaving_of_epochs_gives_a_gap_or_a_repeat(
    events: list[str | tuple[str, int, int]],
) -> None:
    journal = Journal()
    current, text = None, ""
    for happened in events:
        if isinstance(happened, str):
            current = happened
            journal.begin(current)
            continue
        epoch, index, count = happened
        part = ANSWER[index : index + count]
        said = "".join(piece for _, piece in part)
        ids = tuple(token for token, _ in part)
        before = list(journal.token_ids)
        verdict = journal.accept(chunk(index, ids, said, before=PREFIX[index], epoch=epoch))
        if verdict is Fence.ACCEPTED:
            assert epoch == current
            assert index == len(before)
            text += said
        else:
            assert journal.token_ids == before
        accepted = len(journal.token_ids)
        assert journal.token_ids == [token for token, _ in ANSWER[:accepted]]
        assert text == "".join(piece for _, piece in ANSWER[:accepted])
        assert journal.text_bytes == PREFIX[accepted]


def test_each_reason_of_the_fence() -> None:
    journal = Journal()
    assert journal.accept(chunk()) is Fence.STALE_EPOCH
    journal.begin("a")
    assert journal.accept(chunk(1, (5,))) is Fence.WRONG_INDEX
    assert journal.accept(chunk(0, (5,), "x", before=1)) is Fence.WRONG_TEXT
    assert journal.accept(chunk(0, (5,), "x")) is Fence.ACCEPTED
    assert journal.accept(chunk(0, (5,), "x", before=1)) is Fence.WRONG_INDEX
    assert journal.accept(chunk(1, (6,), "y", before=1, fingerprint="g")) is Fence.OTHER_FINGERPRINT
    journal.begin("b")
    assert journal.accept(chunk(1, (6,), "y", before=1)) is Fence.STALE_EPOCH
    assert journal.accept(chunk(1, (6,), "y", before=1, epoch="b")) is Fence.ACCEPTED
    assert journal.resume_members() == {
        "resume_token_ids": [5, 6],
        "resume_text_bytes": 2,
        "fingerprint": "f",
    }


def test_a_restart_forgets_everything() -> None:
    journal = Journal()
    journal.begin("a")
    journal.accept(chunk(0, (5,), "x"))
    journal.restart()
    assert journal.resume_members() == {}
    assert journal.accept(chunk(0, (9,), "z", fingerprint="g")) is Fence.ACCEPTED
