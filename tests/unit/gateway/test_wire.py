"""Events of the internal stream, calls of clients, problems, answers."""

import json

import pytest

from supervisor.gateway.answer import PlainAnswer, StreamAnswer
from supervisor.gateway.call import parse_call
from supervisor.gateway.errors import RefusedError, from_worker, problem
from supervisor.gateway.sse import DONE, EventParser
from supervisor.gateway.wire import (
    Chunk,
    Done,
    Json,
    MalformedEventError,
    WorkerError,
    parse_event,
)
from tests.unit.gateway.chunks import chunk

GLYPH = {"epoch": "e", "index": 2, "token_ids": [7], "text_bytes": 5, "fingerprint": "f"}


def worker_event(**changes: object) -> bytes:
    delta = {"content": "hé"}
    body = {
        "id": "chatcmpl-1",
        "created": 1,
        "choices": [{"index": 0, "delta": delta, "finish_reason": None}],
        "glyph": {**GLYPH, "pages": 2},
        **changes,
    }
    return json.dumps(body).encode()


def test_a_chunk_is_taken_apart() -> None:
    found = parse_event(worker_event(usage={"total_tokens": 3}))
    assert isinstance(found, Chunk)
    assert (found.epoch, found.index, found.token_ids, found.text) == ("e", 2, (7,), "hé")
    assert found.facts == {"pages": 2}
    assert found.usage == {"total_tokens": 3}
    assert not {"glyph", "usage"} & set(found.body)


def choices(logprobs: object) -> list[Json]:
    return [{"delta": {"content": ""}, "finish_reason": None, "logprobs": logprobs}]


def test_log_probabilities_stand_beside_their_tokens() -> None:
    found = parse_event(worker_event(choices=choices({"content": [{"token": "a"}]})))
    assert isinstance(found, Chunk)
    assert found.logprobs == ({"token": "a"},)
    assert found.body["choices"] == choices({"content": [{"token": "a"}]})
    without = parse_event(worker_event(choices=choices(None)))
    assert isinstance(without, Chunk)
    assert without.logprobs == ()


def test_the_other_events() -> None:
    assert parse_event(b"[DONE]") == Done()
    error = b'{"error": {"message": "m", "type": "t", "code": "c"}}'
    assert parse_event(error) == WorkerError("m", "c")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"{",
        b"\xff",
        worker_event(glyph=None),
        worker_event(glyph={**GLYPH, "index": -1}),
        worker_event(glyph={**GLYPH, "index": True}),
        worker_event(glyph={**GLYPH, "token_ids": ["7"]}),
        worker_event(glyph={**GLYPH, "epoch": 1}),
        worker_event(choices=[]),
        worker_event(choices=[{"delta": None}]),
        worker_event(choices=[{"delta": {"content": 5}}]),
        worker_event(choices=[{"delta": {}, "finish_reason": 5}]),
        worker_event(choices=choices([])),
        worker_event(choices=choices({"content": None})),
        worker_event(choices=choices({"content": ["a"]})),
        worker_event(choices=choices({"content": []})),
        worker_event(choices=choices({"content": [{}, {}]})),
    ],
)
def test_malformed_events(data: bytes) -> None:
    with pytest.raises(MalformedEventError):
        parse_event(data)


def body_of(raw: str, resume: Json | None = None) -> Json:
    body: Json = json.loads(parse_call(raw.encode(), 99).body(resume or {}))
    return body


def test_a_call_gets_a_seed_only_if_it_has_none() -> None:
    assert body_of('{"a": "桥"}') == {"a": "桥", "glyph": {"seed": 99}}
    assert body_of('{"seed": null}')["glyph"] == {"seed": 99}
    assert body_of('{"seed": 5}') == {"seed": 5, "glyph": {}}
    assert body_of("{}") == {"glyph": {"seed": 99}}


def test_resume_members_join_the_clients_options() -> None:
    body = body_of('{"seed": 5, "glyph": {"mode": "never"}}', {"resume_token_ids": [1, 2]})
    assert body["glyph"] == {"mode": "never", "resume_token_ids": [1, 2]}


def test_what_the_client_wants_back() -> None:
    call = parse_call(b'{"stream": true, "stream_options": {"include_usage": true}}', 1)
    assert (call.stream, call.include_usage) == (True, True)
    call = parse_call(b'{"stream": null}', 1)
    assert (call.stream, call.include_usage) == (False, False)


@pytest.mark.parametrize(
    ("raw", "param"),
    [
        ('{"glyph": {"seed": 1}}', "glyph.seed"),
        ('{"glyph": {"fingerprint": "f"}}', "glyph.fingerprint"),
        ('{"glyph": 1}', "glyph"),
        ('{"stream": 1}', "stream"),
        ('{"stream_options": []}', "stream_options"),
        ("[]", None),
        ("nonsense", None),
        ('{"a": Infinity}', None),
    ],
)
def test_calls_refused(raw: str, param: str | None) -> None:
    with pytest.raises(RefusedError) as refused:
        parse_call(raw.encode(), 1)
    assert refused.value.problem.status == 422
    assert refused.value.problem.param == param


def test_a_problem_speaks_both_languages() -> None:
    made = problem("overloaded", "full", retry_after_seconds=7)
    body = json.loads(made.body())
    assert (body["status"], body["detail"], body["code"]) == (503, "full", "overloaded")
    assert body["error"] == {
        "message": "full",
        "type": "server_error",
        "code": "overloaded",
        "param": None,
    }
    assert made.headers()["retry-after"] == "7"
    [event] = EventParser().feed(made.late_event())
    assert json.loads(event)["error"]["message"] == "full"


def test_a_workers_problem_is_passed_on_as_far_as_it_goes() -> None:
    found = from_worker(404, b'{"code": "model_not_found", "detail": "d", "error": {"param": "p"}}')
    assert (found.code, found.detail, found.param) == ("model_not_found", "d", "p")
    for body in (b"", b"<html>", b"[]", b'{"error": "x"}'):
        found = from_worker(400, body)
        assert (found.status, found.code) == (400, "worker_error")
        assert found.detail


def events(raw: bytes) -> list[Json]:
    return [json.loads(data) for data in EventParser().feed(raw) if data != b"[DONE]"]


def test_a_stream_keeps_its_first_identity_over_a_resume() -> None:
    answer = StreamAnswer("chatcmpl-own", include_usage=False)
    [first] = events(answer.opening(chunk()))
    assert first["glyph"] == {"pages": 3}
    assert answer.opening(chunk(epoch="b")) == b""
    [more] = events(answer.progress(chunk(1, (5,), "x", epoch="b")))
    assert more["id"] == first["id"] == "chatcmpl-a"
    assert "usage" not in more
    assert "glyph" not in more
    assert answer.progress(chunk(2, (6,), "")) == b""
    last = answer.complete(chunk(3, (7,), "y", finish_reason="stop"))
    assert last.endswith(DONE)
    assert len(events(last)) == 1


def test_usage_comes_in_a_stream_only_where_it_was_asked_for() -> None:
    answer = StreamAnswer("chatcmpl-own", include_usage=True)
    [first] = events(answer.opening(chunk()))
    assert first["usage"] is None
    finish, usage = events(answer.complete(chunk(1, (5,), "x", finish_reason="length")))
    assert finish["usage"] is None
    assert (usage["choices"], usage["usage"]) == ([], {"total_tokens": 2})


def test_a_stream_can_begin_again_until_text_was_sent() -> None:
    answer = StreamAnswer("chatcmpl-own", include_usage=False)
    answer.opening(chunk())
    answer.progress(chunk(0, (5,), ""))
    assert answer.restart()
    answer.progress(chunk(0, (5,), "x"))
    assert not answer.restart()


def test_a_plain_answer_is_one_object() -> None:
    answer = PlainAnswer("chatcmpl-own")
    answer.opening(chunk())
    answer.progress(chunk(0, (5,), "lost"))
    assert answer.restart()
    answer.opening(chunk(epoch="b"))
    answer.progress(chunk(0, (5,), "a "))
    body = json.loads(answer.complete(chunk(1, (6,), "b", finish_reason="stop")))
    assert body["object"] == "chat.completion"
    assert body["choices"][0]["message"] == {"role": "assistant", "content": "a b"}
    assert body["choices"][0]["finish_reason"] == "stop"
    assert body["usage"] == {"total_tokens": 2}
    assert body["glyph"] == {"pages": 3}
    assert body["id"] == "chatcmpl-b"


def entry(name: str) -> Json:
    return {"token": name, "logprob": -0.5, "bytes": None, "top_logprobs": []}


def test_log_probabilities_of_a_plain_answer_are_those_of_all_attempts() -> None:
    answer = PlainAnswer("chatcmpl-own")
    answer.opening(chunk())
    answer.progress(chunk(0, (4,), "lost", logprobs=(entry("lost"),)))
    assert answer.restart()
    answer.opening(chunk())
    answer.progress(chunk(0, (5,), "", logprobs=(entry("桥"),)))
    answer.opening(chunk(1, epoch="b"))
    last = chunk(1, (6, 7), "b", finish_reason="stop", logprobs=(entry("b"), entry("c")))
    body = json.loads(answer.complete(last))
    told = {"content": [entry("桥"), entry("b"), entry("c")], "refusal": None}
    assert body["choices"][0]["logprobs"] == told
    assert body["choices"][0]["message"]["content"] == "b"


def test_log_probabilities_of_a_plain_answer_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("supervisor.gateway.answer.LOGPROB_BYTES", 200)
    answer = PlainAnswer("chatcmpl-own")
    answer.opening(chunk())
    one = chunk(0, (5,), "", logprobs=(entry("x"),))
    for _ in range(3):
        answer.progress(one)
    with pytest.raises(RefusedError) as refused:
        answer.complete(one)
    assert (refused.value.problem.status, refused.value.problem.param) == (422, "top_logprobs")


def test_a_stream_brings_log_probabilities_also_without_text() -> None:
    answer = StreamAnswer("chatcmpl-own", include_usage=False)
    answer.opening(chunk())
    [event] = events(answer.progress(chunk(0, (5,), "", logprobs=(entry("x"),))))
    assert event["choices"][0]["logprobs"]["content"] == [entry("x")]  # type: ignore[index]
    assert not answer.restart()


def test_a_worker_without_a_proper_id_gets_ours() -> None:
    answer = StreamAnswer("chatcmpl-own", include_usage=False)
    nameless = chunk()
    nameless.body["id"] = 5
    assert events(answer.opening(nameless))[0]["id"] == "chatcmpl-own"
