"""A supervisor that only remembers what it was asked for."""

from supervisor.console.port import RestartAnswer

EPOCHS = ("4f1d2c3b5a697887a6b5c4d3e2f10a0b", "a0b1c2d3e4f54657889900aabbccddee")


class FakeSupervisor:
    def __init__(self) -> None:
        self.calls: list[tuple[str, ...]] = []
        self.answer = RestartAnswer(accepted=True, decision="6b1f", reason="")
        self.states = ["ready", "ready"]
        self.state = "serving"
        self.since_seconds = 4380.0
        self.rows: list[dict[str, object]] = []

    def status(self) -> dict[str, object]:
        return {
            "state": self.state,
            "term": 7,
            "pid": 4711,
            "version": "0.1.0",
            "uptime_seconds": 93784.2,
            "gateway": {
                "pid": 4712,
                "url": "http://127.0.0.1:8000",
                "state": "ready",
                "epoch": "9" * 32,
                "held": 0,
                "in_flight": {EPOCHS[0]: 3, EPOCHS[1]: 1},
            },
            "console": {"url": "http://127.0.0.1:8900"},
            "workers": [
                {
                    "name": f"worker-{index}",
                    "state": state,
                    "pid": 4720 + index,
                    "epoch": EPOCHS[index],
                    "generation": 3 - index,
                    "socket": f"/run/glyph/w{index}-{EPOCHS[index][:8]}.sock",
                    "since_seconds": self.since_seconds,
                    "want": "up",
                    "restarts": 2 - index,
                    "last_restart": None,
                }
                for index, state in enumerate(self.states)
            ],
        }

    def events(self, *, limit: int, after: int) -> list[dict[str, object]]:
        return [row for row in self.rows if int(str(row["id"])) > after][-limit:]

    async def restart(self, worker: str, *, reason: str, actor: str) -> RestartAnswer:
        self.calls.append(("restart", worker, reason, actor))
        return self.answer

    def stop(self, *, reason: str, drain: bool) -> None:
        self.calls.append(("stop", reason, str(drain)))

    def handover(self) -> None:
        self.calls.append(("handover",))


def event(number: int, **members: object) -> dict[str, object]:
    """One journal event with everything a restart has, except what `members` replaces."""
    names = ("decide", "hold", "drain", "stop", "gone", "memory returned", "load", "warm", "verify")
    seconds = (0.01, 0.02, 1.2, 0.3, 0.05, 0.1, 3.4, 0.9, 0.2)
    return {
        "id": number,
        "at": f"2026-11-21T01:{number % 60:02d}:07.512Z",
        "kind": "restart",
        "worker": "worker-0",
        "epoch": EPOCHS[0],
        "cause": "hang",
        "reason": "no engine step for 8.2 s in phase decode",
        "evidence": {"phase": "decode", "step_age_seconds": 8.2, "deadline_seconds": 8},
        "phases": [
            {"name": name, "seconds": value} for name, value in zip(names, seconds, strict=True)
        ],
    } | members


def story() -> list[dict[str, object]]:
    """A day in the journal, oldest first."""
    return [
        event(
            1,
            kind="boot",
            worker=None,
            epoch=None,
            cause=None,
            phases=[],
            evidence={},
            reason="term 7, nothing left of term 6",
        ),
        event(2, kind="started", cause=None, phases=[], evidence={}, reason="generation 1 serves"),
        event(
            3,
            kind="started",
            worker="worker-1",
            cause=None,
            phases=[],
            evidence={},
            reason="generation 1 serves",
        ),
        event(4),
        event(
            5,
            cause="operator",
            reason="new weights <b>&</b> 新的权重",
            evidence={"actor": "console"},
        ),
        event(
            6,
            worker="worker-1",
            cause="crash",
            reason="SIGSEGV",
            evidence={"signal": "SIGSEGV", "in_flight": 2},
        ),
    ]
