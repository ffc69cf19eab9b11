"""`GET /metrics`: the gateway's counts in Prometheus' text format, version 0.0.4."""

from collections.abc import Mapping

from supervisor.gateway.hub import Hub
from supervisor.gateway.status import health

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_Samples = Mapping[str, float]

_COUNTED = (
    ("requests", "Requests received."),
    ("completed", "Requests answered to their end."),
    ("cancelled", "Requests whose client left."),
    ("cut", "Attempts cut because a worker was lost or taken away."),
    ("replayed", "Requests begun again on another worker."),
    ("resumed", "Requests continued on another worker where they stood."),
    ("held", "Requests that had to wait for a worker."),
)


def metrics(hub: Hub) -> str:
    """The page."""
    counters, state = hub.counters, health(hub)
    lines: list[str] = []
    for name, about in _COUNTED:
        value: int = getattr(counters, name)
        lines += _family(f"glyph_gateway_{name}_total", "counter", about, {"": value})
    failed = {_label("code", code): float(count) for code, count in sorted(counters.failed.items())}
    about = "Requests answered with an error, by code."
    lines += _family("glyph_gateway_failed_total", "counter", about, failed)
    routes = [worker["route"] for worker in state["workers"]]
    for name, about, samples in (
        ("held_requests", "Requests that wait for a worker now.", {"": state["held"]}),
        ("in_flight_requests", "Requests in workers now.", {"": state["in_flight"]}),
        ("kept_bytes", "Request bodies kept.", {"": hub.admission.bytes_kept}),
        (
            "longest_gap_seconds",
            "Longest time a request stood still because its worker was lost.",
            {"": counters.longest_gap_seconds},
        ),
        (
            "workers",
            "Workers listed, by route.",
            {_label("route", route): routes.count(route) for route in ("open", "closed")},
        ),
    ):
        lines += _family(f"glyph_gateway_{name}", "gauge", about, samples)
    return "\n".join(lines) + "\n"


def _family(name: str, kind: str, about: str, samples: _Samples) -> list[str]:
    head = [f"# HELP {name} {about}", f"# TYPE {name} {kind}"]
    return head + [f"{name}{labels} {value}" for labels, value in samples.items()]


def _label(name: str, text: str) -> str:
    """Codes come from workers, which may be of any make."""
    escaped = text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
    return f'{{{name}="{escaped}"}}'
