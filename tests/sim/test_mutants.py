"""The simulation is worth nothing unless it catches what it is for."""

import pytest

from supervisor.core.table import UnknownPairError
from tests.sim.mutants import MUTANTS
from tests.sim.run import Run

SEEDS = range(400)


@pytest.mark.parametrize("name", MUTANTS)
def test_catches_planted_bug(name: str) -> None:
    with MUTANTS[name]():
        for seed in SEEDS:
            try:
                Run(seed).execute()
            except (AssertionError, UnknownPairError) as caught:
                print(f"{name}: caught at seed {seed}: {str(caught).splitlines()[0]}")
                return
    pytest.fail(f"{name}: not caught within {len(SEEDS)} seeds")
