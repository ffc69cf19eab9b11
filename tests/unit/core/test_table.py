"""The transition table is total in the sense that matters: nothing is left to chance."""

from dataclasses import replace

import pytest

from supervisor.core.effects import Record
from supervisor.core.events import MemoryRead, Outcome, TreeGone
from supervisor.core.machine import step
from supervisor.core.model import Phase
from supervisor.core.policy import Policy
from supervisor.core.table import TABLE, VACANT, Move, Station, Trigger, UnknownPairError
from tests.unit.core.stage import Stage

NEVER_OVERDUE = {Station.READY, Station.RECLAIMED, *VACANT}
NEWS = set(Trigger) - {Trigger.TICK, Trigger.OVERDUE, Trigger.LEAVE, Trigger.RESTART_ASKED}


def test_every_phase_is_a_station() -> None:
    assert {phase.value for phase in Phase} == {s.value for s in Station} - {
        station.value for station in VACANT
    }
    assert set(TABLE) == set(Station)


@pytest.mark.parametrize("station", Station)
def test_time_and_operators_are_answered_everywhere(station: Station) -> None:
    assert Trigger.TICK in TABLE[station]
    assert TABLE[station][Trigger.RESTART_ASKED].move is not Move.IGNORE


@pytest.mark.parametrize("station", Station)
def test_transient_phases_and_only_they_become_overdue(station: Station) -> None:
    assert (Trigger.OVERDUE in TABLE[station]) is (station not in NEVER_OVERDUE)


@pytest.mark.parametrize("station", VACANT)
def test_no_news_comes_from_an_empty_slot(station: Station) -> None:
    assert not NEWS & set(TABLE[station])


def test_every_phase_with_a_process_knows_what_its_death_means() -> None:
    living = set(Station) - {*VACANT, Station.GONE, Station.RECLAIMED}

    assert all(TABLE[station][Trigger.EXITED].move is Move.DIE for station in living)


def test_every_station_can_be_reached_and_left() -> None:
    entered = {to for row in TABLE.values() for cell in row.values() for to in cell.to}
    left = {station for station, row in TABLE.items() if any(cell.to for cell in row.values())}

    assert entered == set(Station)
    assert left == set(Station) - {Station.DOWN}


def test_every_move_is_used() -> None:
    assert {cell.move for row in TABLE.values() for cell in row.values()} == set(Move)


def test_unknown_pair_raises_when_strict() -> None:
    stage = Stage()
    epoch = stage.up()

    with pytest.raises(UnknownPairError, match="TreeGone for worker-0, which is ready"):
        stage.post(TreeGone(stage.at, epoch))


def test_unknown_pair_is_recorded_and_ignored_in_production() -> None:
    stage = Stage()
    epoch = stage.up()
    production = Policy(strict=False)

    state, effects = step(stage.state, MemoryRead(stage.at, epoch, Outcome.OK, ""), production)

    assert state == stage.state
    assert effects == (Record("ignored", reason="MemoryRead for worker-0, which is ready"),)


def test_a_move_that_goes_astray_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage()
    row = {**TABLE[Station.READY]}
    row[Trigger.EXITED] = replace(row[Trigger.EXITED], to=(Station.GONE,))
    monkeypatch.setitem(TABLE, Station.READY, row)
    stage.up()

    with pytest.raises(UnknownPairError, match="from ready to killing"):
        stage.exit("worker-0", signal=9)
