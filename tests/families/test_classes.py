"""A toy family that generates sound of a class: its only method is `generate`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from rich.console import Console

from engine.errors import AudioError
from engine.layers import ConvTranspose1d, Guard
from engine.models.base import Model, ModelConfig
from engine.models.chain import Chain
from engine.models.registry import FAMILIES, Family
from engine.models.store import load_model
from engine.players.base import load
from export.targets import check, export_model
from training.data.base import Batch
from training.objectives.base import Moment, Objective, Terms
from training.objectives.losses import spectral_terms
from training.objectives.registry import OBJECTIVES
from training.run.config import resolve
from training.run.loop import Machine, train

RATE, BLOCK = 8000, 64
TONES = {"high": 1000.0, "low": 250.0}  # whole periods in a block
PRESET = """
[model]
family = "bells"
sample_rate_hz = 8000
[training]
batch_size = 4
crop_seconds = 0.3
log_steps = 1
learning_rate = 3e-2
warmup_steps = 2
schedule = "constant"
validation_fraction = 0.3
"""


class BellsConfig(ModelConfig):
    classes: int = 2


class Bells(Model):
    """One grain for each class."""

    family = "bells"

    def __init__(self, config: BellsConfig) -> None:
        super().__init__()
        self.config = config
        self.grains = ConvTranspose1d(config.classes, 1, 2 * BLOCK, BLOCK)

    def chains(self) -> dict[str, Chain]:
        names = tuple(f"class {i}" for i in range(self.config.classes))
        return {"generate": Chain.of(Guard(self.config.classes), ("grains", self.grains),
                                     inputs=names, outputs=("audio",), in_ratio=BLOCK,
                                     role="generate")}


class OfClass(Objective):
    """Sound with the spectrum of the class."""

    def losses(self, batch: Batch, at: Moment) -> Terms:
        audio = batch["audio"]
        one = torch.nn.functional.one_hot(batch["label"], self.model.config.classes).float()
        frames = one[:, :, None].expand(-1, -1, audio.shape[-1] // BLOCK)
        made = self.played("generate", frames.contiguous())
        _, linear = spectral_terms(made, audio[..., : made.shape[-1]])
        return {"loss": linear}  # the few loud bins


@pytest.fixture(autouse=True)
def _rows(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(1)
    monkeypatch.setitem(FAMILIES, "bells",
                        Family(BellsConfig, Bells, "a toy", "of class", "labelled"))
    monkeypatch.setitem(OBJECTIVES, "of class", OfClass)


def run(tmp_path: Path, out: str, steps: int) -> Path:
    preset, data = tmp_path / "bells.toml", tmp_path / "data"
    preset.write_text(PRESET)
    if not data.exists():
        for name, hertz in TONES.items():
            (data / name).mkdir(parents=True)
            for index in range(3):
                t = np.arange(RATE) / RATE + index
                soundfile.write(data / name / f"{index}.wav", 0.3 * np.sin(6.283185 * hertz * t),
                                RATE)
        soundfile.write(data / "loose.wav", 0.1 * np.ones(RATE), RATE)
    settings = resolve(str(preset), data, [], steps=steps)
    return train(settings, tmp_path / out, Machine("cpu"), Console(quiet=True)).folder


def test_classes_are_learnt_and_played(tmp_path: Path) -> None:
    whole = run(tmp_path, "whole", 30)
    assert "loose.wav: lies in no folder" in (whole / "skipped.txt").read_text()
    rows = [json.loads(line) for line in (whole / "metrics.jsonl").read_text().splitlines()]
    held = [row["loss"] for row in rows if row["kind"] == "validation"]
    assert held[-1] < 0.8 * held[0]
    run(tmp_path, "parts", 17)
    parts = run(tmp_path, "parts", 30)
    a, b = (load_model(folder).model.state_dict() for folder in (whole, parts))
    assert all(torch.equal(a[name], b[name]) for name in a)
    out = tmp_path / "x.tudor"
    export_model(load_model(whole), check("native", out), out)
    for label, hertz in enumerate(TONES[name] for name in sorted(TONES)):
        frames = np.zeros((2, 64), np.float32)
        frames[label] = 1
        heard, wanted = (load(path).process("generate", frames) for path in (out, whole))
        assert np.abs(heard - wanted).max() < 1e-5
        spectrum = np.abs(np.fft.rfft(heard[0, 2 * BLOCK :] * np.hanning(62 * BLOCK)))
        loudest = np.argmax(spectrum) * RATE / (62 * BLOCK)
        assert loudest == pytest.approx(hertz, abs=60)


def test_one_class_is_none(tmp_path: Path) -> None:
    (tmp_path / "data/only").mkdir(parents=True)
    soundfile.write(tmp_path / "data/only/a.wav", 0.3 * np.sin(np.arange(RATE)), RATE)
    with pytest.raises(AudioError, match="fewer than two classes"):
        run(tmp_path, "run", 1)
