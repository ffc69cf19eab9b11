"""A stage for stories: the core alone, and the shortest words to play the world to it."""

from collections.abc import Sequence
from typing import TypeVar

from supervisor.core.effects import Effect, Record
from supervisor.core.events import (
    Booted,
    Event,
    Exited,
    HealthRead,
    InFlightRead,
    MemoryRead,
    Outcome,
    ProgressRead,
    RestartAsked,
    Spawned,
    Tick,
    TreeGone,
    WarmUpDone,
)
from supervisor.core.machine import initial, step
from supervisor.core.model import Cause, ExitReport, Generation, Identity, Kind, Slot, State
from supervisor.core.policy import Policy
from supervisor.core.table import station_of

E = TypeVar("E", bound=Effect)


class Stage:
    """A state, a clock, and all effects so far."""

    def __init__(self, *workers: str, policy: Policy | None = None, boot: bool = True) -> None:
        names = workers or ("worker-0",)
        slots = [("gateway", Kind.GATEWAY), *((name, Kind.WORKER) for name in names)]
        self.policy = policy or Policy(strict=True)
        self.state: State = initial(slots)
        self.at = 100.0
        self.effects: list[Effect] = []
        self.pids = 1000
        if boot:
            self.post(Booted(self.at, 1))
            self.tick()

    # --- what happens

    def post(self, event: Event) -> list[Effect]:
        """One event; its effects."""
        self.state, effects = step(self.state, event, self.policy)
        self.effects.extend(effects)
        return list(effects)

    def tick(self, seconds: float = 0.0) -> list[Effect]:
        """Time passes, in ticks of half a second."""
        done: list[Effect] = []
        end = self.at + seconds
        while True:
            self.at = min(end, self.at + 0.5)
            done += self.post(Tick(self.at, f"{int(self.at * 1000):032x}"))
            if self.at >= end:
                return done

    def up(self, name: str = "worker-0", seconds: float = 3.0) -> str:
        """From SPAWNED to READY in so many seconds; the epoch."""
        self.load(name)
        self.tick(seconds)
        self.health(name, "ready")
        return self.warm(name)

    def load(self, name: str = "worker-0") -> str:
        epoch = self.epoch(name)
        self.pids += 1
        self.post(Spawned(self.at, epoch, Identity("boot", self.pids, self.pids * 10)))
        return epoch

    def warm(self, name: str = "worker-0", ok: bool = True) -> str:
        epoch = self.epoch(name)
        self.post(WarmUpDone(self.at, epoch, ok, "" if ok else "wrong answer"))
        self.tick()
        return epoch

    def all_up(self) -> None:
        for slot in self.state.slots:
            self.up(slot.name)

    def health(self, name: str, status: str = "", outcome: Outcome = Outcome.OK) -> list[Effect]:
        return self.post(HealthRead(self.at, self.epoch(name), outcome, status)) + self.tick()

    def progress(
        self, name: str, phase: str, age: float, state: str = "S", size: int = 0
    ) -> list[Effect]:
        epoch, at = self.epoch(name), self.at
        event = ProgressRead(at, epoch, Outcome.OK, 7, phase, size, age, state)
        return self.post(event) + self.tick()

    def in_flight(self, name: str, count: int) -> list[Effect]:
        return self.post(InFlightRead(self.at, self.epoch(name), count)) + self.tick()

    def ask(self, name: str = "worker-0", actor: str = "ada", decision: str = "d1") -> list[Effect]:
        event = RestartAsked(self.at, name, decision, Cause.OPERATOR, "it got slow", actor)
        return self.post(event) + self.tick()

    def exit(self, name: str, **report: object) -> list[Effect]:
        """The main process dies; `code`, `signal`, `reported`, `out_of_memory` say how."""
        exited = Exited(self.at, self.epoch(name), ExitReport(**report))  # type: ignore[arg-type]
        return self.post(exited) + self.tick()

    def bury(self, name: str, seconds: float = 0.0) -> list[Effect]:
        """Tree gone, memory back, each after so many seconds."""
        self.tick(seconds)
        done = self.post(TreeGone(self.at, self.epoch(name)))
        done += self.tick(seconds)
        done += self.post(MemoryRead(self.at, self.epoch(name), Outcome.OK, ""))
        return done + self.tick()

    # --- what is the case

    def slot(self, name: str = "worker-0") -> Slot:
        return self.state.slot(name)

    def generation(self, name: str = "worker-0") -> Generation:
        generation = self.slot(name).generation
        assert generation is not None, f"{name} has no generation"
        return generation

    def epoch(self, name: str = "worker-0") -> str:
        return self.generation(name).epoch

    def station(self, name: str = "worker-0") -> str:
        return station_of(self.slot(name)).value

    def records(self, kind: str) -> list[Record]:
        return [e for e in self.effects if isinstance(e, Record) and e.kind == kind]


def only(effects: list[Effect], kind: type[E]) -> list[E]:
    """The effects of one kind, in order."""
    return [effect for effect in effects if isinstance(effect, kind)]


def names(effects: Sequence[Effect]) -> list[str]:
    """The kinds of the effects, in order."""
    return [type(effect).__name__ for effect in effects]
