"""How a request wants its tokens chosen, and where the answer shall stop."""

from __future__ import annotations

import re
from collections.abc import Mapping

from inference.api.fields import number, read_flag, read_integer, read_number, wrong

MAX_STOPS = 16
MAX_STOP_CHARACTERS = 256
MAX_STOP_TOKENS = 64
MAX_BIASED_TOKENS = 1024
MAX_TOP_LOGPROBS = 20
_ID = re.compile(r"[0-9]{1,9}")


def read_top_p(body: Mapping[str, object]) -> float | None:
    """A share above 0. Raises RequestError, as all these do."""
    top_p = read_number(body, "top_p", 0.0, 1.0)
    if top_p == 0:
        wrong("top_p", "above 0")
    return top_p


def read_top_k(body: Mapping[str, object]) -> int | None:
    """-1 is how other servers say "all"."""
    top_k = read_integer(body, "top_k", -1, None)
    return 0 if top_k == -1 else top_k


def read_stops(body: Mapping[str, object]) -> tuple[str, ...]:
    """Texts that end the answer."""
    value = body.get("stop")
    listed = [value] if isinstance(value, str) else value
    if listed is None:
        return ()
    if not isinstance(listed, list) or len(listed) > MAX_STOPS:
        wrong("stop", f"a string or a list of at most {MAX_STOPS} strings")
    stops = []
    for place, stop in enumerate(listed):
        if not isinstance(stop, str) or not 0 < len(stop) <= MAX_STOP_CHARACTERS:
            wrong(f"stop[{place}]", f"a string of 1 to {MAX_STOP_CHARACTERS} characters")
        stops.append(stop)
    return tuple(stops)


def read_logit_bias(body: Mapping[str, object]) -> tuple[tuple[int, float], ...]:
    """Token ids and what is added to their logits; JSON has the ids as strings."""
    value = body.get("logit_bias")
    if value is None:
        return ()
    if not isinstance(value, dict) or len(value) > MAX_BIASED_TOKENS:
        wrong("logit_bias", f"an object with at most {MAX_BIASED_TOKENS} members")
    biases = {}
    for name, bias in value.items():
        if not _ID.fullmatch(name):
            wrong("logit_bias", "an object whose names are token ids")
        biases[int(name)] = number(bias, f"logit_bias.{name}", -100.0, 100.0)
    return tuple(sorted(biases.items()))


def read_top_logprobs(body: Mapping[str, object]) -> int | None:
    """How many alternatives to tell with each token; None tells no probabilities at all."""
    count = read_integer(body, "top_logprobs", 0, MAX_TOP_LOGPROBS)
    if read_flag(body, "logprobs"):
        return count or 0
    if count:
        wrong("top_logprobs", "absent unless logprobs is true")
    return None
