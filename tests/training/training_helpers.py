"""Small folders of sound and a model of a few hundred weights, for the tests beside."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from rich.console import Console

import training.run.callbacks
import training.run.module
from engine.models.store import load_model
from training.run.config import resolve
from training.run.loop import Machine, Outcome, train

QUIET = Console(quiet=True)
CPU = Machine("cpu")

RATE = 8000
TINY = """
[model]
family = "raw_vae"
sample_rate_hz = 8000
latents = 4
compression = 32
bands = 8
strides = [4]
widths = [8, 12]
dilations = [1]

[training]
steps = 6
batch_size = 2
crop_seconds = 0.3
log_steps = 1
kl_warmup_steps = 4
warmup_steps = 2
validation_fraction = 0.3
"""


def loop(seed: int, seconds: float = 1.0, rate_hz: int = RATE) -> np.ndarray:
    """Decaying noise and tone bursts, float32 [samples]."""
    rng = np.random.default_rng(seed)
    t = np.arange(round(seconds * rate_hz)) / rate_hz
    beat = np.exp(-12 * (t % 0.25))
    tone = np.sin(2 * np.pi * rng.uniform(80, 400) * t)
    return (beat * (0.4 * tone + 0.1 * rng.standard_normal(len(t)))).astype(np.float32)


def fill(folder: Path, count: int = 4, seconds: float = 1.0) -> Path:
    """`count` loops as WAV files."""
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(count):
        soundfile.write(folder / f"loop{index}.wav", loop(index, seconds), RATE)
    return folder


def preset(folder: Path, text: str = TINY) -> str:
    """A configuration file of a tiny model; its path."""
    path = folder / "tiny.toml"
    path.write_text(text)
    return str(path)


def run(
    tmp_path: Path, *assignments: str, out: str = "run", console: Console = QUIET, **options: Any
) -> Outcome:
    """A run of the tiny model on a small folder."""
    data = tmp_path / "data"
    if not data.exists():
        fill(data)
    settings = resolve(preset(tmp_path), data, list(assignments), **options)
    return train(settings, tmp_path / out, CPU, console)


def metrics(folder: Path, kind: str = "train") -> list[dict[str, float]]:
    """The lines of metrics.jsonl of one kind."""
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [row for row in rows if row["kind"] == kind]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    """What a run saved."""
    return load_model(folder).model.state_dict()


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    """Bit for bit."""
    assert len(a) > 10
    return all(torch.equal(a[name], b[name]) for name in a)


class Clock:
    """What training takes for the time: it stands still but for each step, which takes
    `seconds_per_step`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now, self.seconds_per_step = 1000.0, 0.0
        step = training.run.module.TrainingModule.training_step

        def timed(module: Any, *args: Any) -> Any:
            self.now += self.seconds_per_step
            return step(module, *args)

        monkeypatch.setattr(training.run.module.TrainingModule, "training_step", timed)
        for place in (training.run.module, training.run.callbacks):
            monkeypatch.setattr(place, "time", SimpleNamespace(monotonic=lambda: self.now))
