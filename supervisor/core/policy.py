"""The numbers the core decides by, grouped. All durations are seconds.

`supervisor.config.policy` fills them from the configuration; the defaults here are the same.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Deadlines:
    """How long each phase of a generation may take."""

    load_seconds: float = 120.0
    warm_seconds: float = 60.0
    drain_seconds: float = 20.0
    stop_seconds: float = 5.0
    kill_seconds: float = 10.0
    reclaim_seconds: float = 30.0


@dataclass(frozen=True, slots=True)
class Backoff:
    """How fast what keeps dying is started again."""

    first_seconds: float = 1.0
    max_seconds: float = 60.0
    steps: int = 6
    jitter: float = 0.2
    stable_seconds: float = 600.0
    broken_retry_seconds: float = 300.0
    alert_after: int = 3
    """Crashes in a row at which people are told."""


@dataclass(frozen=True, slots=True)
class Budget:
    """How many restarts of a serving generation the watchdog may order by itself."""

    per_hour: int = 3
    per_day: int = 6


@dataclass(frozen=True, slots=True)
class Hang:
    """How long one step of the engine may take, by phase and size."""

    idle_seconds: float = 8.0
    loading_seconds: float = 120.0
    warming_seconds: float = 60.0
    rendering_seconds: float = 30.0
    vision_seconds: float = 10.0
    vision_seconds_per_patch: float = 0.005
    prefill_seconds: float = 10.0
    prefill_seconds_per_token: float = 0.01
    decode_seconds: float = 8.0
    stopping_seconds: float = 30.0


@dataclass(frozen=True, slots=True)
class Patience:
    """How the supervisor judges what it sees, itself included."""

    late_tick_seconds: float = 3.0
    """A gap between two ticks above this means the supervisor itself was starved."""
    refused_times: int = 3
    """Refused health requests in a row that make a living READY process a failed one."""
    gateway_silent_seconds: float = 15.0
    """Uninterrupted health timeouts after which the gateway is replaced."""
    gateway_stopped_seconds: float = 3.0
    """The same while the gateway's process is stopped (state T): it cannot recover by itself."""
    recheck_seconds: float = 0.25
    """Pause between two looks whether a dead generation, or its memory, is gone."""
    load_guess_seconds: float = 30.0
    """Expected time from spawn to READY before it was ever measured."""


@dataclass(frozen=True, slots=True)
class Policy:
    """Everything `step` is told besides the state and the event."""

    deadlines: Deadlines = Deadlines()
    backoff: Backoff = Backoff()
    budget: Budget = Budget()
    hang: Hang = Hang()
    patience: Patience = Patience()
    strict: bool = False
    """Raise on what the transition table does not know, instead of recording and ignoring it."""
