"""Values that contradict each other, and the timing inequalities an operator should know.

Everything here was already checked alone by the model; this is about combinations and about the
world (files that must be readable).
"""

import ipaddress
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlsplit

from supervisor.config.document import Location
from supervisor.config.model import Alerts, Configuration

_RESERVED_NAMES = ("all", "gateway", "supervisor")
_WRITE_EVERY_SECONDS = 60.0
_IDLE_BEATS_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Inequality:
    """`left <= right`, both in seconds, with the sentence that says why."""

    location: Location
    formula: str
    left: float
    right: float
    why: str
    strict: bool = False

    @property
    def holds(self) -> bool:
        """Whether the configuration satisfies it."""
        return self.left < self.right if self.strict else self.left <= self.right

    def __str__(self) -> str:
        sign = "<" if self.strict else "<="
        return f"{self.formula}  ({self.left:g} s {sign} {self.right:g} s): {self.why}"


def pause_seconds(configuration: Configuration) -> float:
    """The longest planned pause while one worker is replaced in place, in seconds."""
    life = configuration.lifecycle
    stop = life.drain_seconds + life.stop_seconds + life.kill_seconds
    return stop + life.reclaim_seconds + life.load_seconds + life.warm_seconds


def inequalities(configuration: Configuration) -> tuple[Inequality, ...]:
    """All timing conditions between keys."""
    gateway, life, probing = configuration.gateway, configuration.lifecycle, configuration.probing
    idle, backoff = probing.hang.idle_seconds, configuration.backoff
    return (
        Inequality(
            ("gateway", "total_seconds"),
            "lifecycle drain + stop + kill + reclaim + load + warm <= gateway.total_seconds",
            pause_seconds(configuration),
            gateway.total_seconds,
            "a request may be held through a whole restart",
        ),
        Inequality(
            ("gateway", "service_seconds"),
            "gateway.service_seconds <= gateway.total_seconds",
            gateway.service_seconds,
            gateway.total_seconds,
            "time in a worker is part of the whole",
        ),
        Inequality(
            ("gateway", "status_delay_seconds"),
            "gateway.status_delay_seconds < gateway.total_seconds",
            gateway.status_delay_seconds,
            gateway.total_seconds,
            "a stream must begin before it ends",
            strict=True,
        ),
        Inequality(
            ("gateway", "keep_alive_seconds"),
            "gateway.keep_alive_seconds < 60",
            gateway.keep_alive_seconds,
            _WRITE_EVERY_SECONDS,
            "proxies on the way cut a stream that is silent for 60 s",
            strict=True,
        ),
        Inequality(
            ("probing", "late_tick_seconds"),
            "2 * probing.tick_seconds < probing.late_tick_seconds",
            2 * probing.tick_seconds,
            probing.late_tick_seconds,
            "one slow tick is no starvation",
            strict=True,
        ),
        Inequality(
            ("probing", "hang", "idle_seconds"),
            "probing.late_tick_seconds < probing.hang.idle_seconds",
            probing.late_tick_seconds,
            idle,
            "a starved supervisor must notice itself before it calls a worker hung",
            strict=True,
        ),
        Inequality(
            ("probing", "hang", "idle_seconds"),
            "2 <= probing.hang.idle_seconds",
            _IDLE_BEATS_SECONDS,
            idle,
            "an idle engine beats twice a second, and one beat may be late",
        ),
        Inequality(
            ("probing", "hang", "loading_seconds"),
            "probing.hang.loading_seconds <= lifecycle.load_seconds",
            probing.hang.loading_seconds,
            life.load_seconds,
            "a longer one would never be reached",
        ),
        Inequality(
            ("backoff", "max_seconds"),
            "backoff.first_seconds <= backoff.max_seconds",
            backoff.first_seconds,
            backoff.max_seconds,
            "the delay grows from the first to the largest",
        ),
    )


def timing_problems(configuration: Configuration) -> Iterator[tuple[Location, str]]:
    """Every inequality that does not hold, as (location, message)."""
    for inequality in inequalities(configuration):
        if not inequality.holds:
            yield inequality.location, f"violates {inequality}"


def contradictions(configuration: Configuration) -> Iterator[tuple[Location, str]]:
    """Every other combination that cannot work, as (location, message)."""
    yield from _addresses(configuration)
    yield from _worker_names(configuration)
    yield from _alerts(configuration.alerts)
    gateway, budget = configuration.gateway, configuration.budget
    if gateway.body_bytes > gateway.hold_bytes:
        yield ("gateway", "body_bytes"), "must not exceed gateway.hold_bytes"
    if budget.per_hour > budget.per_day:
        yield ("budget", "per_hour"), "must not exceed budget.per_day"


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address of that name."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _addresses(configuration: Configuration) -> Iterator[tuple[Location, str]]:
    gateway, console = configuration.gateway, configuration.console
    if not is_loopback(console.host):
        yield (
            ("console", "host"),
            f"{console.host!r} is not loopback; the console has no TLS, so reach it from elsewhere "
            "through an SSH tunnel or a reverse proxy",
        )
    if gateway.port == console.port != 0:
        yield ("console", "port"), "is the port of the gateway, too"
    for name, seconds in (
        ("login_link_seconds", console.login_link_seconds),
        ("session_seconds", console.session_seconds),
    ):
        if seconds < 1:
            yield ("console", name), "must be at least 1 s"


def _worker_names(configuration: Configuration) -> Iterator[tuple[Location, str]]:
    seen: set[str] = set()
    for index, worker in enumerate(configuration.workers):
        if worker.name in _RESERVED_NAMES:
            yield ("workers", index, "name"), f"{worker.name!r} has a meaning of its own"
        if worker.name in seen:
            yield ("workers", index, "name"), f"{worker.name!r} is the name of another worker"
        seen.add(worker.name)


def _alerts(alerts: Alerts) -> Iterator[tuple[Location, str]]:
    for index, webhook in enumerate(alerts.webhooks):
        place: Location = ("alerts", "webhooks", index)
        if not _is_http_url(webhook.url):
            yield (*place, "url"), "expected an address such as https://HOST/PATH"
        if webhook.timeout_seconds <= 0:
            yield (*place, "timeout_seconds"), "must be more than 0"
        if webhook.secret_file is not None:
            reason = _why_unreadable(webhook.secret_file)
            if reason:
                yield (*place, "secret_file"), reason
    for index, hook in enumerate(alerts.exec):
        place = ("alerts", "exec", index)
        if hook.timeout_seconds <= 0:
            yield (*place, "timeout_seconds"), "must be more than 0"
        if shutil.which(hook.argv[0]) is None:
            yield (*place, "argv", 0), f"{hook.argv[0]!r} is no program that can be run"


def _is_http_url(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _why_unreadable(path: str) -> str | None:
    try:
        if os.stat(path).st_size == 0:
            return f"{path} is empty"
        with open(path, "rb"):
            return None
    except OSError as error:
        return f"{path} cannot be read: {error.strerror}"
