from uuid import UUID

from supervisor.core.names import decision_of, epoch_of, fraction_of


def test_epochs_are_uuid4_and_differ_by_slot_and_entropy() -> None:
    epochs = {epoch_of(f"{n:032x}", slot) for n in range(200) for slot in ("worker-0", "gateway")}

    assert len(epochs) == 400
    for epoch in epochs:
        assert UUID(epoch).version == 4
        assert UUID(epoch).hex == epoch


def test_names_are_derived_and_nothing_else() -> None:
    assert epoch_of("00", "worker-0") == epoch_of("00", "worker-0")
    assert decision_of("e", "crash") == decision_of("e", "crash") != decision_of("e", "hang")
    assert 0.0 <= fraction_of("x") < 1.0
