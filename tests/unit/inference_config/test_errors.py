"""Request errors: the codes of the wire, and a body both schools of client can read."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from inference.errors import ERRORS, RequestError

WIRE = (Path(__file__).parents[3] / "docs" / "wire.md").read_text("utf-8")


def test_the_table_is_the_one_of_the_wire() -> None:
    listed = re.search(r"Codes: (.*?)\(never for", WIRE, re.DOTALL)
    assert listed is not None
    promised = {code: int(status) for code, status in re.findall(r"`(\w+)` (\d+)", listed[1])}
    assert promised == {code: kind.status for code, kind in ERRORS.items()}
    assert len(promised) > 8


def test_body_has_the_members_of_both_schools() -> None:
    error = RequestError("invalid_request", "temperature must be 0 to 2", "temperature")
    assert error.status == 422
    assert json.loads(json.dumps(error.body())) == {
        "type": "urn:glyph:error:invalid_request",
        "title": "The request is not valid",
        "status": 422,
        "detail": "temperature must be 0 to 2",
        "code": "invalid_request",
        "error": {
            "message": "temperature must be 0 to 2",
            "type": "invalid_request_error",
            "code": "invalid_request",
            "param": "temperature",
        },
    }


def test_what_may_be_tried_again() -> None:
    again = {code for code, kind in ERRORS.items() if kind.retryable}
    assert again == {"queue_full", "draining", "loading", "deadline_exceeded", "engine_error"}


def test_a_code_outside_the_table_is_a_mistake_of_ours() -> None:
    with pytest.raises(KeyError):
        RequestError("teapot", "no")
