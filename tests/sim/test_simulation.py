"""Seeded runs of the core in a world that knows the truth."""

import pytest

from supervisor.core.table import UnknownPairError
from tests.sim.run import Result, Run
from tests.sim.test_mutants import SEEDS

CHUNK = 60
CHUNKS = 20
"""1,200 runs, and with them every seed on which a mutant may be caught."""


def run(seed: int) -> Result:
    """One run; a failure names its seed: `python -m tests.sim.show SEED` tells its story."""
    try:
        return Run(seed).execute()
    except (AssertionError, UnknownPairError) as error:
        raise AssertionError(f"seed {seed}: {error}") from error


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_survives_everything(chunk: int) -> None:
    results = [run(seed) for seed in range(chunk * CHUNK, (chunk + 1) * CHUNK)]

    assert sum(result.restarts for result in results) > CHUNK
    assert sum(result.lives for result in results) > CHUNK


def test_covers_the_seeds_of_the_mutants() -> None:
    assert max(1000, len(SEEDS)) <= CHUNK * CHUNKS


def test_same_seed_same_run() -> None:
    assert run(7) == run(7)


def test_runs_meet_every_kind_of_trouble() -> None:
    records = [record for seed in range(120) for record in run(seed).records]

    causes = {record.cause.value for record in records if record.cause is not None}
    assert causes >= {
        "operator",
        "crash",
        "killed",
        "hang",
        "temporary",
        "configuration",
        "out_of_memory",
        "load_timeout",
        "warm_failed",
        "spawn_failed",
        "exited",
        "shutdown",
    }
    kinds = {record.kind for record in records}
    assert kinds >= {"adopted", "restart", "denied", "escalation", "abandoned", "stop"}
