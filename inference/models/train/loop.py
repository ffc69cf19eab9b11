"""The training loop: vision tower first, then the whole, within a budget of minutes."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from inference.models.train.batch import make_batch, make_cells
from inference.models.train.curriculum import LINES, Curriculum, Progress
from inference.models.train.grid import draw, page_codes
from inference.models.train.losses import CellHead, CellScore, cell_score, read_score
from inference.models.train.network import Network, model_config
from inference.models.train.vocabulary import Vocabulary

_PEAK_RATE, _FINAL_SHARE, _DECAY_FROM = 1.6e-3, 0.02, 0.65
_VISION_RATE = 2e-3
_VISION_GOAL, _VISION_CALM_FROM = 0.997, 0.95
_VISION_EVERY, _VISION_KEEP_UP = 5, 0.2
_WARMUP_STEPS = 50
_GRADIENT_NORM = 1.0
_SMOOTHING = 0.95


@dataclass(frozen=True, slots=True)
class Settings:
    """A run of the recipe."""

    seconds: float
    """Time for everything, what an earlier run used included."""
    vision_seconds: float
    """Most time for the vision tower alone."""
    seed: int = 0
    batch_tokens: int = 4096
    vision_pages: int = 8
    report_every: int = 10
    save_every_seconds: float = 120.0


class Trainer:
    """Network, optimiser and progress of one run, which can be saved and taken up again."""

    def __init__(self, settings: Settings, device: torch.device, directory: Path) -> None:
        torch.manual_seed(settings.seed)
        self._settings, self._device, self._directory = settings, device, directory
        self.vocabulary = Vocabulary()
        self.network = Network(model_config(self.vocabulary)).to(device)
        self._cells = CellHead().to(device)
        self._curriculum = Curriculum(self.vocabulary, settings.seed, settings.batch_tokens)
        self.progress = Progress()
        self._vision_steps = 0
        self._vision_ready = False
        self._spent_seconds = 0.0
        self._seen_parameters = [
            *self.network.model.model.visual.parameters(),
            *self.network.ink.parameters(),
            *self._cells.parameters(),
        ]
        self._read_parameters = [
            *self.network.model.model.language_model.parameters(),
            *self.network.model.lm_head.parameters(),
        ]
        self._vision_optimiser = _optimiser(self._seen_parameters)
        self._optimiser = _optimiser(self._read_parameters)

    def run(self, report: Callable[[dict[str, float]], None]) -> Iterator[int]:
        """Train until the time is up; yields the step after each save."""
        if not self._vision_ready:
            self._train_vision(report)
        saved = self._spent_seconds
        while self._spent_seconds < self._settings.seconds:
            started = time.monotonic()
            facts = self._step()
            self._spent_seconds += time.monotonic() - started
            if self.progress.step % self._settings.report_every == 0:
                report(facts)
            if self._spent_seconds - saved >= self._settings.save_every_seconds:
                self.save()
                saved = self._spent_seconds
                yield self.progress.step
        self.save()
        yield self.progress.step

    def _train_vision(self, report: Callable[[dict[str, float]], None]) -> None:
        right = 0.0
        while right < _VISION_GOAL and self._spent_seconds < self._settings.vision_seconds:
            started = time.monotonic()
            rate = _VISION_RATE * min(1.0, (self._vision_steps + 1) / _WARMUP_STEPS)
            # Half of the last errors are noise of the optimiser itself.
            score = self._vision_step(rate if right < _VISION_CALM_FROM else 0.3 * rate)
            right += (1 - _SMOOTHING) * (min(score.characters, score.place) - right)
            self._spent_seconds += time.monotonic() - started
            if self._vision_steps % self._settings.report_every == 0:
                report(self._vision_facts(score))
        self._vision_ready = True
        self.save()

    def _vision_step(self, rate: float) -> CellScore:
        pages = self._curriculum.pages(self._vision_steps, self._settings.vision_pages)
        ink = torch.stack([torch.from_numpy(draw(page_codes(page))) for page in pages])
        seen = self.network.see(ink.to(self._device))
        score = cell_score(self._cells(seen), make_cells(pages).to(self._device))
        _descend(self._vision_optimiser, score.loss, self._seen_parameters, rate)
        self._vision_steps += 1
        return score

    def _vision_facts(self, score: CellScore) -> dict[str, float]:
        return {
            "vision_step": self._vision_steps,
            "seconds": self._spent_seconds,
            "loss": float(score.loss.detach()),
            "characters": score.characters,
            "rest": score.rest,
            "below": score.below,
            "place": score.place,
        }

    def _step(self) -> dict[str, float]:
        plan, examples = self._curriculum.examples(self.progress)
        batch = make_batch(examples, self.vocabulary, plan.shorten).to(self._device)
        # Answers teach the language model only. The vision tower goes on with naming cells, now and
        # then and gently: that costs a tenth of sending gradients through it.
        with torch.no_grad():
            seen = self.network.see(batch.ink)[batch.kept].float()
        with torch.autocast(self._device.type, torch.bfloat16):
            score = read_score(self.network, batch, seen)
        rate = self._rate()
        _descend(self._optimiser, score.loss, self._read_parameters, rate)
        if self.progress.step % _VISION_EVERY == 0:
            self._vision_step(_VISION_KEEP_UP * rate)
        self.progress.record(plan, score.tokens)
        return {
            "step": self.progress.step,
            "seconds": self._spent_seconds,
            "lines": LINES[self.progress.level],
            "loss": float(score.loss.detach()),
            "pointing": score.pointing,
            "matching": score.matching,
            "read": self.progress.read[self.progress.level],
            "in_windows": self.progress.in_windows,
            "looked_up": self.progress.looked_up,
            "rate": rate,
        }

    def _rate(self) -> float:
        """Warm-up, a plateau, and a cosine down over the last part of the time."""
        share = self._spent_seconds / self._settings.seconds
        falling = max(0.0, (share - _DECAY_FROM) / (1 - _DECAY_FROM))
        cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, falling)))
        warm = min(1.0, (self.progress.step + 1) / _WARMUP_STEPS)
        return _PEAK_RATE * warm * (_FINAL_SHARE + (1 - _FINAL_SHARE) * cosine)

    def save(self) -> None:
        """Write everything needed to go on; a crash in between leaves the last one whole."""
        self._directory.mkdir(parents=True, exist_ok=True)
        target = self._directory / "state.pt"
        torch.save(
            {
                "network": self.network.state_dict(),
                "cells": self._cells.state_dict(),
                "vision_optimiser": self._vision_optimiser.state_dict(),
                "optimiser": self._optimiser.state_dict(),
                "progress": asdict(self.progress),
                "vision_steps": self._vision_steps,
                "vision_ready": self._vision_ready,
                "spent_seconds": self._spent_seconds,
            },
            target.with_suffix(".new"),
        )
        os.replace(target.with_suffix(".new"), target)

    def resume(self) -> bool:
        """Go on from what was saved, if anything was."""
        target = self._directory / "state.pt"
        if not target.exists():
            return False
        state = torch.load(target, map_location=self._device, weights_only=True)
        self.network.load_state_dict(state["network"])
        self._cells.load_state_dict(state["cells"])
        self._vision_optimiser.load_state_dict(state["vision_optimiser"])
        self._optimiser.load_state_dict(state["optimiser"])
        self.progress = Progress(**state["progress"])
        self._vision_steps = int(state["vision_steps"])
        self._vision_ready = bool(state["vision_ready"])
        self._spent_seconds = float(state["spent_seconds"])
        return True


def _optimiser(parameters: list[torch.nn.Parameter]) -> torch.optim.AdamW:
    return torch.optim.AdamW(parameters, lr=_PEAK_RATE, weight_decay=0.01, betas=(0.9, 0.98))


def _descend(
    optimiser: torch.optim.AdamW,
    loss: torch.Tensor,
    parameters: list[torch.nn.Parameter],
    rate: float,
) -> None:
    for group in optimiser.param_groups:
        group["lr"] = rate
    optimiser.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(parameters, _GRADIENT_NORM)
    optimiser.step()


def append_line(path: Path, facts: dict[str, float]) -> None:
    """Add one record to the log of a run."""
    with path.open("a", encoding="utf-8") as log:
        log.write(json.dumps(facts) + "\n")
