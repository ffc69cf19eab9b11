"""The typed configuration: one frozen group per part of the product, a sentence under every key.

The models are strict: an unknown key, a wrong type or a bad unit is an error. Reading YAML into
them, with line and column of every mistake, is `supervisor.config.decode`; where files and sockets
live is `supervisor.config.paths`; which values contradict each other is `supervisor.config.check`.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from supervisor.config.units import parse_bytes, parse_seconds

_DURATION_SCHEMA = {
    "anyOf": [
        {"type": "number", "minimum": 0},
        {"type": "string", "pattern": r"^(\d+(\.\d+)?(ms|s|m|h|d))+$"},
    ]
}
_SIZE_SCHEMA = {
    "anyOf": [
        {"type": "integer", "minimum": 0},
        {"type": "string", "pattern": r"^\d+(\.\d+)?\s*([kKmMgG][iI]?)?[bB]$"},
    ]
}

Seconds = Annotated[
    float, BeforeValidator(parse_seconds), Field(ge=0), WithJsonSchema(_DURATION_SCHEMA)
]
Bytes = Annotated[int, BeforeValidator(parse_bytes), Field(ge=0), WithJsonSchema(_SIZE_SCHEMA)]
Port = Annotated[int, Field(ge=0, le=65535)]


class Group(BaseModel):
    """Common settings of all groups: frozen, strict, no unknown keys."""

    model_config = ConfigDict(
        frozen=True, strict=True, extra="forbid", use_attribute_docstrings=True
    )


class Paths(Group):
    """Where the product keeps what it must remember and what lives only while it runs."""

    state: str | None = None
    """State directory (journal, logs); null: systemd's, `var` in a clone, else /var/lib/glyph."""
    runtime: str | None = None
    """Runtime directory (sockets); null: systemd's, else a short one for the state directory."""


class Gateway(Group):
    """The data plane: what clients talk to."""

    host: str = "127.0.0.1"
    """Address the public API listens on."""
    port: Port = 8000
    """Port the public API listens on; 0 picks a free one."""
    backlog: Annotated[int, Field(ge=1, le=65535)] = 4096
    """Connections the kernel queues while nobody accepts, as when the gateway is replaced."""
    total_seconds: Seconds = 600.0
    """Deadline of a request from admission to its last byte, holding included."""
    service_seconds: Seconds = 300.0
    """Deadline counting only time inside a worker; carried over a resume."""
    hold_requests: Annotated[int, Field(ge=0)] = 2000
    """Requests that may wait for a worker at the same time; the next one is refused with 503."""
    hold_bytes: Bytes = 256 * 1024 * 1024
    """Bytes of request bodies kept for running and held requests; beyond it the answer is 503."""
    body_bytes: Bytes = 16 * 1024 * 1024
    """Largest request body; a larger one is answered 413."""
    status_delay_seconds: Seconds = 2.0
    """How long the status line of a stream is held back, so that refusals keep their own status."""
    keep_alive_seconds: Seconds = 5.0
    """Pause between two `: hold` lines on a stream that waits."""
    idle_seconds: Seconds = 75.0
    """How long an idle client connection is kept."""
    attempts: Annotated[int, Field(ge=1, le=20)] = 8
    """How often one request may be sent to a worker, resumes included."""
    death_verdict_seconds: Seconds = 5.0
    """How long a request whose worker was lost waits for the supervisor's verdict on that death."""
    replay: bool = True
    """Send a request whose worker was lost to the successor; false only to show that it matters."""
    orphan_seconds: Seconds = 3600.0
    """The gateway exits after so long without a word from a supervisor and nothing in flight."""


class Console(Group):
    """The operator's page."""

    host: str = "127.0.0.1"
    """Address the console listens on; only loopback (localhost, 127.0.0.1, ::1) is accepted."""
    port: Port = 8900
    """Port the console listens on; 0 picks a free one."""
    login_link_seconds: Seconds = 900.0
    """How long a one-time login link is valid."""
    session_seconds: Seconds = 43200.0
    """How long a login lasts."""


class HangDeadlines(Group):
    """How long one engine step may take, by phase, before the worker counts as hung."""

    idle_seconds: Seconds = 8.0
    """An idle engine beats twice a second; silence for so long is a hang."""
    loading_seconds: Seconds = 120.0
    """Loading weights."""
    warming_seconds: Seconds = 60.0
    """The worker's own first requests."""
    rendering_seconds: Seconds = 30.0
    """Drawing pages when nothing else runs."""
    vision_seconds: Seconds = 10.0
    """One run of the vision tower, before the part that grows with its size."""
    vision_seconds_per_patch: Seconds = 0.005
    """Added per patch of the vision tower's input."""
    prefill_seconds: Seconds = 10.0
    """One prefill, before the part that grows with its size."""
    prefill_seconds_per_token: Seconds = 0.01
    """Added per token of the prefill."""
    decode_seconds: Seconds = 8.0
    """One decode step over all slots."""
    stopping_seconds: Seconds = 30.0
    """Leaving after SIGTERM."""


class Lifecycle(Group):
    """Deadlines of the phases of a worker generation."""

    load_seconds: Seconds = 120.0
    """From spawn to the worker's own `ready`."""
    warm_seconds: Seconds = 60.0
    """For the supervisor's warm-up request and the check of its answer."""
    drain_seconds: Seconds = 20.0
    """In-flight requests may finish so long; then they are moved to the successor by resume."""
    stop_seconds: Seconds = 5.0
    """From SIGTERM until the process tree is killed."""
    kill_seconds: Seconds = 10.0
    """From the kill until the whole process tree must be gone; then an alert; the wait goes on."""
    reclaim_seconds: Seconds = 30.0
    """For the GPU to give the dead generation's memory back; then an alert; the wait goes on."""


class Backoff(Group):
    """How fast a crashing worker is started again."""

    first_seconds: Seconds = 1.0
    """Delay after the second crash in a row; the first one after a stable run restarts at once."""
    max_seconds: Seconds = 60.0
    """Largest delay; the way there is geometric."""
    steps: Annotated[int, Field(ge=1)] = 6
    """Number of steps from the first to the largest delay."""
    jitter: Annotated[float, Field(ge=0, le=0.5)] = 0.2
    """Random part of every delay, to either side."""
    stable_seconds: Seconds = 600.0
    """A generation that served so long resets the row of crashes."""
    broken_retry_seconds: Seconds = 300.0
    """A worker whose configuration is at fault is tried again after so long, or when it changes."""


class Budget(Group):
    """How many restarts the watchdog may order by itself, per worker and cause."""

    per_hour: Annotated[int, Field(ge=0)] = 3
    """Watchdog restarts per hour; when they are spent the worker goes on serving, with an alert."""
    per_day: Annotated[int, Field(ge=0)] = 6
    """Watchdog restarts per day."""


class Probing(Group):
    """How often the supervisor looks, and how patient it is."""

    tick_seconds: Annotated[float, Field(ge=0.05, le=10)] = 0.5
    """Period of the decision loop."""
    health_seconds: Annotated[float, Field(ge=0.1, le=60)] = 2.0
    """Period of the health request."""
    health_timeout_seconds: Annotated[float, Field(ge=0.1, le=60)] = 2.0
    """A health request that takes longer is a timeout: busy, until progress says otherwise."""
    late_tick_seconds: Annotated[float, Field(ge=0.5, le=60)] = 3.0
    """A tick so late means the supervisor itself was starved: deadlines move by the lateness."""
    hang: HangDeadlines = HangDeadlines()
    """Deadlines of the engine's phases."""


class Worker(Group):
    """One slot: an inference process, restarted in place."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,30}$")] = "worker-0"
    """Name used in commands, logs and events."""
    gpu: Annotated[int, Field(ge=0)] | None = None
    """Index of the GPU this worker may use (CUDA_VISIBLE_DEVICES); null leaves that as it is."""
    environment: dict[str, str] = Field(default_factory=dict)
    """Extra environment variables of the process."""
    inference: dict[str, Any] = Field(default_factory=dict)
    """Keys that differ from the common `inference:` block for this worker."""


class Webhook(Group):
    """One signed HTTP POST per alert."""

    url: str
    """Where to post the JSON."""
    secret_file: str | None = None
    """File with the key of the `Glyph-Signature: t=…,v1=…` header (HMAC-SHA256 of `t.body`)."""
    timeout_seconds: Seconds = 10.0
    """Deadline of one delivery attempt."""


class ExecHook(Group):
    """A program run per alert, with the JSON on its standard input."""

    argv: Annotated[list[str], Field(min_length=1)]
    """Program and arguments; no shell."""
    timeout_seconds: Seconds = 30.0
    """The program is killed after so long."""


class Alerts(Group):
    """Who is told about restarts, failures and recoveries."""

    webhooks: list[Webhook] = Field(default_factory=list)
    """Signed webhooks."""
    exec: list[ExecHook] = Field(default_factory=list)
    """Programs."""
    attempts: Annotated[int, Field(ge=1, le=100)] = 8
    """Deliveries tried per alert and receiver before it is given up."""
    queue: Annotated[int, Field(ge=1, le=100000)] = 1000
    """Undelivered alerts kept; the oldest go first."""


class Logs(Group):
    """Output of the children."""

    max_bytes: Bytes = 16 * 1024 * 1024
    """Size at which a child's log is rotated (copied and truncated)."""
    keep: Annotated[int, Field(ge=1, le=100)] = 5
    """Rotated files kept per child."""
    level: Literal["debug", "info", "warning", "error"] = "info"
    """Level of the supervisor's own log."""


class Configuration(Group):
    """Everything an operator can set."""

    paths: Paths = Paths()
    """Directories."""
    gateway: Gateway = Gateway()
    """The data plane."""
    console: Console = Console()
    """The operator's page."""
    workers: Annotated[list[Worker], Field(min_length=1, max_length=64)] = Field(
        default_factory=lambda: [Worker()]
    )
    """The inference processes, usually one per GPU."""
    inference: dict[str, Any] = Field(default_factory=dict)
    """What every worker is started with; its keys are checked by the inference package itself."""
    lifecycle: Lifecycle = Lifecycle()
    """Deadlines of starting and stopping."""
    probing: Probing = Probing()
    """Periods and deadlines of the probes."""
    backoff: Backoff = Backoff()
    """Crash backoff."""
    budget: Budget = Budget()
    """Watchdog restart budget."""
    alerts: Alerts = Alerts()
    """Receivers of alerts."""
    logs: Logs = Logs()
    """Output of the children."""
