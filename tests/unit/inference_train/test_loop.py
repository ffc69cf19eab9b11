"""A run can be interrupted; what goes on is the same run."""

import json
from pathlib import Path

import pytest
import torch

from inference.models.train import __main__ as command
from inference.models.train.evaluate import character_errors
from inference.models.train.loop import Settings, Trainer
from inference.models.train.plot import loss_plot

CPU = torch.device("cpu")


def quick(seconds: float) -> Settings:
    return Settings(seconds, 0.2, batch_tokens=600, vision_pages=1, report_every=1)


def test_the_smoke_run_gives_a_checkpoint_a_log_and_a_plot(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(["--smoke", "--out", str(tmp_path), "--device", "cpu"]) == 0
    assert (tmp_path / "model" / "model.safetensors").is_file()
    assert (tmp_path / "loss.svg").read_text().startswith("<svg")
    found = json.loads(capsys.readouterr().out)
    assert found["cer"] > 0
    records = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert any("vision_step" in record for record in records)
    assert any("step" in record for record in records)


def test_steps_lower_the_loss(tmp_path: Path) -> None:
    trainer = Trainer(quick(60.0), CPU, tmp_path)
    seeing = [float(trainer._vision_step(1e-3).loss.detach()) for _ in range(12)]
    assert seeing[-1] < seeing[0] / 2
    reading = [trainer._step()["loss"] for _ in range(12)]
    assert min(reading[6:]) < min(reading[:3])


def test_a_saved_run_goes_on_where_it_was(tmp_path: Path) -> None:
    trainer = Trainer(quick(1.0), CPU, tmp_path)
    for _ in trainer.run(lambda facts: None):
        pass
    resumed = Trainer(quick(2.0), CPU, tmp_path)
    assert resumed.resume()
    assert resumed.progress == trainer.progress
    before, after = trainer.network.state_dict(), resumed.network.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    for _ in resumed.run(lambda facts: None):
        pass
    assert resumed.progress.step > trainer.progress.step


def test_nothing_to_resume(tmp_path: Path) -> None:
    assert not Trainer(quick(1.0), CPU, tmp_path).resume()


def test_errors_are_counted_by_edits() -> None:
    assert character_errors("", "abc") == 3
    assert character_errors("abc", "abc") == 0
    assert character_errors("xabd", "abc") == 2


def test_plot_of_no_steps_and_of_some() -> None:
    assert "no steps" in loss_plot([])
    records = [
        {"vision_step": 1.0, "seconds": 1.0, "loss": 20.0},
        {"vision_step": 2.0, "seconds": 2.0, "loss": 2.0},
        {"step": 1.0, "seconds": 60.0, "loss": 0.05},
    ]
    picture = loss_plot(records)
    assert picture.count("<polyline") == 2
    assert "1.0 minutes" in picture
