"""Who may have a restart, when, and what everybody else is told."""

from supervisor.core.effects import Reply, Spawn, Terminate
from tests.unit.core.stage import Stage, names, only


def test_only_one_worker_is_restarted_at_a_time() -> None:
    stage = Stage("worker-0", "worker-1")
    stage.all_up()
    stage.ask("worker-0")

    again = stage.ask("worker-0", decision="d2")
    other = stage.ask("worker-1", decision="d3")

    assert only(again, Reply) == [
        Reply("d2", accepted=False, reason="worker-0 is draining already")
    ]
    assert only(other, Reply) == [Reply("d3", accepted=False, reason="worker-0 is being restarted")]
    assert stage.station("worker-1") == "ready"
    assert len(stage.records("denied")) == 2


def test_rolling_restart_takes_one_after_the_other() -> None:
    stage = Stage("worker-0", "worker-1")
    stage.all_up()
    first = stage.ask("worker-0", actor="all:ada", decision="d0")
    second = stage.ask("worker-1", actor="all:ada", decision="d1")
    assert [reply.accepted for reply in only(first + second, Reply)] == [True, True]
    assert stage.station("worker-1") == "ready"

    stage.tick(2.0)
    stage.in_flight("worker-0", 0)
    stage.exit("worker-0", code=0)
    stage.bury("worker-0")
    stage.up("worker-0")

    assert stage.station("worker-0") == "ready"
    assert stage.station("worker-1") == "draining"
    stage.tick(1.0)
    stage.in_flight("worker-1", 0)
    stage.exit("worker-1", code=0)
    stage.bury("worker-1")
    stage.up("worker-1")
    restarts = {record.slot: record for record in stage.records("restart")}
    assert set(restarts) == {"worker-0", "worker-1"}
    waited = restarts["worker-1"].phases[0]
    assert (waited.name, waited.seconds) == ("decide", 5.0)


def test_a_broken_worker_ends_the_rolling_restart() -> None:
    stage = Stage("worker-0", "worker-1")
    stage.all_up()
    stage.ask("worker-0", actor="all:ada", decision="d0")
    stage.ask("worker-1", actor="all:ada", decision="d1")
    stage.tick(0.5)
    stage.in_flight("worker-0", 0)
    stage.exit("worker-0", code=0)
    stage.bury("worker-0")
    stage.load("worker-0")
    stage.exit("worker-0", code=78)
    stage.bury("worker-0")

    assert stage.station("worker-0") == "broken"
    assert stage.station("worker-1") == "ready"
    assert [record.decision for record in stage.records("abandoned")] == ["d1"]


def test_restart_of_a_loading_worker_starts_it_again() -> None:
    stage = Stage()
    stage.load()
    stage.tick(5.0)

    done = stage.ask()

    assert only(done, Reply)[0].accepted
    assert names(only(done, Terminate)) == ["Terminate"]
    stage.exit("worker-0", code=0)
    stage.bury("worker-0")
    stage.up()
    (restart,) = stage.records("restart")
    assert [phase.name for phase in restart.phases] == [
        "decide",
        "stop",
        "gone",
        "memory returned",
        "load",
        "warm",
        "verify",
        "release",
    ]


def test_restart_of_a_broken_worker_means_now() -> None:
    stage = Stage()
    stage.load()
    stage.exit("worker-0", code=78)
    stage.bury("worker-0")
    assert stage.station() == "broken"
    assert not only(stage.tick(100.0), Spawn)

    done = stage.ask()

    assert only(done, Reply)[0].accepted
    assert len(only(done, Spawn)) == 1


def test_what_cannot_be_restarted_is_denied_with_the_reason() -> None:
    stage = Stage()
    stage.all_up()

    reasons = [only(stage.ask(name, decision=name), Reply)[0] for name in ("gateway", "worker-9")]

    assert [reply.accepted for reply in reasons] == [False, False]
    assert reasons[0].reason == "only workers are restarted; the gateway holds their clients"
    assert reasons[1].reason == "there is no worker-9"
