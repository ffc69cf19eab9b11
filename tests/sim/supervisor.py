"""The shell around the core, as thin as the real one: it performs, posts, dies and boots again."""

from collections.abc import Callable
from random import Random

from supervisor.core import effects as do
from supervisor.core.events import (
    Booted,
    Event,
    Exited,
    MemoryRead,
    Outcome,
    Spawned,
    SpawnFailed,
    Tick,
    TreeGone,
    WarmUpDone,
)
from supervisor.core.machine import initial, step
from supervisor.core.model import ExitReport, Generation, Kind, Slot, State
from supervisor.core.policy import Policy
from tests.sim.invariants import Checker
from tests.sim.judge import Judge
from tests.sim.leftovers import known_exit, leftovers
from tests.sim.probing import look
from tests.sim.truth import NEVER, Process, ViolationError
from tests.sim.world import World

TICK_SECONDS = 1.0
PROBE_SECONDS = 2.0


class Supervisor:
    """Volatile state, a durable journal, and effects that can be cut short by a crash."""

    def __init__(self, world: World, slots: list[tuple[str, Kind]], policy: Policy) -> None:
        self.world, self.slots, self.policy = world, slots, policy
        self.checker = Checker(policy)
        self.judge = Judge(world, policy)
        self.journal: dict[str, Slot] = {}
        self.records: list[do.Record] = []
        self.replies: dict[str, int] = {}
        self.life = 0
        self.alive = False
        self.state: State = initial(slots)
        self.crash_after: int | None = None
        """Effects until it dies."""
        self.down_seconds = 1.0
        self.starved_until = 0.0
        self.backlog: list[Event] = []
        self.steps = 0
        self.quit = False
        self.narrate: Callable[[str], None] | None = None
        """Hears every event and effect: see tests.sim.show."""
        self._entropy = Random(world.random.random())
        world.on_death = self.on_death  # type: ignore[method-assign]

    # --- life and death

    def boot(self) -> None:
        """Start as the real one does: journal, leftovers, then the loop."""
        self.life += 1
        life, world = self.life, self.world
        self.alive = True
        self.state = initial(self.slots)
        self.backlog, self.starved_until = [], 0.0
        self.checker.restarted()
        world.deliver = lambda event: self.receive(life, event)
        kept = {slot.generation.epoch for slot in self.journal.values() if slot.generation}
        world.files &= kept
        for process in world.processes.values():
            if process.tree_alive() and process.epoch not in kept:
                raise ViolationError(f"{process.epoch[:8]} lives and nobody knows it")
        events: list[Event] = []
        for slot in self.journal.values():
            events.extend(leftovers(world, slot))
        events.append(Booted(world.now, life))
        self._handle(events)
        self._tick(life)
        self._probe(life)

    def crash(self) -> None:
        """kill -9: everything volatile is lost, and it is started again after a while."""
        self.alive = False
        self.crash_after = self.world.random.randrange(12) if self._again() else None
        until = self.world.now + self.down_seconds
        self.world.blind_until = until
        self.world.at(until, self.boot)

    def _again(self) -> bool:
        """Sometimes the next life ends early too, in the middle of its boot."""
        return not self.world.calm and self.world.random.random() < 0.25

    def starve(self, seconds: float) -> None:
        """It gets no processor; what arrives waits."""
        self.starved_until = self.world.now + seconds
        self.world.blind_until = self.starved_until
        life = self.life

        def wake() -> None:
            if self.alive and self.life == life:
                backlog, self.backlog = self.backlog, []
                self._handle([*backlog, *look(self.world, self.state)])
                self.world.after(0.3, lambda: self._probe_once(life))

        self.world.at(self.starved_until, wake)

    # --- the loop

    def receive(self, life: int, event: Event) -> None:
        """One event for this life; news of an earlier one is nobody's."""
        if not self.alive or life != self.life:
            return
        if self.world.now < self.starved_until:
            self.backlog.append(event)
        else:
            self._handle([event])

    def _tick(self, life: int) -> None:
        if not self.alive or life != self.life:
            return
        if self.world.now >= self.starved_until:
            self._handle([])
        self.world.after(TICK_SECONDS, lambda: self._tick(life))

    def _probe(self, life: int) -> None:
        if self.alive and life == self.life:
            self._probe_once(life)
            self.world.after(PROBE_SECONDS, lambda: self._probe(life))

    def _probe_once(self, life: int) -> None:
        if self.world.now < self.starved_until:
            return
        events = look(self.world, self.state)
        self.world.random.shuffle(events)
        prompt: list[Event] = []
        for event in events:
            chance = self.world.random.random()
            if chance < 0.2:
                self._post(life, event, 1.0)
            if chance < 0.05 or chance > 0.9:
                self._post(life, event, 6.0)
            if chance >= 0.2:
                prompt.append(event)
        self._handle(prompt)

    def _post(self, life: int, event: Event, within_seconds: float) -> None:
        delay = self.world.random.random() * within_seconds
        self.world.after(delay, lambda: self.receive(life, event))

    def _handle(self, events: list[Event]) -> None:
        """A batch of events, then the tick that the runtime always posts behind it."""
        for event in events:
            if self.alive:
                self._step(event)
        if self.alive:
            self._step(Tick(self.world.now, f"{self._entropy.getrandbits(128):032x}"))

    def _step(self, event: Event) -> None:
        self.steps += 1
        before = self.state
        after, effects = step(before, event, self.policy)
        self.checker.observe(before, event, after, effects)
        self.state = after
        if self.narrate is not None and effects:
            self.narrate(f"{self.world.now:8.2f} life {self.life} {event}")
        for effect in effects:
            if self.crash_after is not None:
                self.crash_after -= 1
                if self.crash_after < 0:
                    if self.narrate is not None:
                        self.narrate(f"{self.world.now:8.2f} kill -9")
                    self.crash()
                    return
            if self.narrate is not None:
                self.narrate(f"{'':12}{effect}")
            self._perform(effect)

    # --- effects

    def _perform(self, effect: do.Effect) -> None:
        world = self.world
        match effect:
            case do.Record():
                self.judge.record(effect)
                self.records.append(effect)
            case do.Remember():
                self.journal[effect.slot.name] = effect.slot
            case do.Spawn():
                self._spawn(effect)
            case do.SetRoutes():
                world.tell_routes(effect.routes)
            case do.MoveRequests():
                world.move(effect.epoch)
            case do.ReportDeath():
                self.judge.verdict(effect)
            case do.Terminate():
                slot = self.state.slot(world.processes[effect.generation.epoch].slot)
                decision = slot.replacement.decision if slot.replacement else None
                world.terminate(effect.generation, decision)
            case do.KillTree():
                self.judge.kill(effect.generation, self.journal)
                world.kill_tree(effect.generation)
            case do.StopGateway():
                world.stop_gateway(effect.generation, effect.drain_seconds)
            case do.Forget():
                self._forget(effect.generation)
            case do.Reply():
                self.replies[effect.decision] = self.replies.get(effect.decision, 0) + 1
            case do.Quit():
                self.quit = True
                self.alive = False
            case do.CheckGone() | do.CheckMemory() | do.WarmUp():
                self._ask(effect)

    def _spawn(self, effect: do.Spawn) -> None:
        world, epoch = self.world, effect.epoch
        kind = self.state.slot(effect.slot).kind
        process = world.spawn(effect.slot, kind, epoch)
        if process is None:
            world.news(epoch, lambda at: SpawnFailed(at, epoch, "no memory for a process"))
        else:
            world.news(epoch, lambda at: Spawned(at, epoch, process.identity))

    def _ask(self, effect: do.CheckGone | do.CheckMemory | do.WarmUp) -> None:
        world, epoch = self.world, effect.generation.epoch
        process = world.process(epoch)
        match effect:
            case do.CheckGone():
                if process is None or not process.tree_alive():
                    world.news(epoch, lambda at: TreeGone(at, epoch))
            case do.CheckMemory():
                gated = world.has_device and process is not None and process.kind is Kind.WORKER
                held = gated and process is not None and process.holds_memory(world.now)
                blind = gated and world.random.random() < 0.1
                outcome = Outcome.UNKNOWN if blind else Outcome.FAILED if held else Outcome.OK
                world.news(epoch, lambda at: MemoryRead(at, epoch, outcome, ""))
            case do.WarmUp() if process is not None and process.plan.answer_seconds < NEVER:
                answerer, deliver = process, world.deliver
                world.after(
                    process.plan.answer_seconds,
                    lambda: self._answer(answerer, deliver == world.deliver),
                )

    def _answer(self, process: Process, same_life: bool) -> None:
        if not same_life or (process.alive and not process.works()):
            return
        right = process.alive and process.plan.answer_right
        process.verified = process.verified or right
        self.world.news(
            process.epoch, lambda at: WarmUpDone(at, process.epoch, right, "" if right else "wrong")
        )

    def _forget(self, generation: Generation) -> None:
        process = self.world.process(generation.epoch)
        if process is not None and process.tree_alive():
            raise ViolationError(f"forgot {generation.epoch[:8]}, which lives")
        self.world.files.discard(generation.epoch)

    def on_death(self, process: Process) -> None:
        """The pidfd of a followed child becomes readable."""
        adopted = any(
            slot.generation is not None
            and slot.generation.epoch == process.epoch
            and slot.generation.adopted
            for slot in self.state.slots
        )
        report = known_exit(process) if adopted else process.exit or ExitReport()
        self.world.news(process.epoch, lambda at: Exited(at, process.epoch, report))
