"""A toy family that generates sound of a class: its only method is `generate`, and the class an
attribute, a weight for each, so that classes can be mixed and each stream can have its own."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from rich.console import Console

from engine.description import Attribute
from engine.errors import ConfigError
from engine.layers import Control, ConvTranspose1d, Guard
from engine.models.base import Model, ModelConfig
from engine.models.chain import Chain
from engine.models.registry import FAMILIES, Family
from engine.models.store import load_model
from engine.players.base import Player, load
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
family = "voices"
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
    """One grain for each class; the input's only channel says how long to go on."""

    family = "voices"

    def __init__(self, config: BellsConfig) -> None:
        super().__init__()
        self.config = config
        self.grains = ConvTranspose1d(config.classes, 1, 2 * BLOCK, BLOCK)

    def chains(self) -> dict[str, Chain]:
        return {"generate": Chain.of(
            Guard(1), Control(1, "classes", self.config.classes), ("grains", self.grains),
            inputs=("time",), outputs=("audio",), in_ratio=BLOCK, role="generate")}

    def declared_attributes(self) -> tuple[Attribute, ...]:
        count = self.config.classes
        return (Attribute("classes", count, 1 / count, 0.0, 1.0, "share of each class"),)


class OfClass(Objective):
    """Sound with the spectrum of the class."""

    def losses(self, batch: Batch, at: Moment) -> Terms:
        audio = batch["audio"]
        one = torch.nn.functional.one_hot(batch["label"], self.model.config.classes).float()
        frames = audio.new_zeros(len(audio), 1, audio.shape[-1] // BLOCK)
        made = self.played("generate", frames, classes=one)
        _, linear = spectral_terms(made, audio[..., : made.shape[-1]])
        return {"loss": linear}  # the few loud bins


@pytest.fixture(autouse=True)
def _rows(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(1)
    monkeypatch.setitem(FAMILIES, "voices",
                        Family(BellsConfig, Bells, "a toy", "of class", "labelled"))
    monkeypatch.setitem(OBJECTIVES, "of class", OfClass)


def run(tmp_path: Path, out: str, steps: int) -> Path:
    preset, data = tmp_path / "voices.toml", tmp_path / "data"
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
    for target, out in (("native", tmp_path / "x.tudor"), ("onnx", tmp_path / "x.onnx")):
        export_model(load_model(whole), check(target, out), out)
        two_classes_at_once(load(out, batch=2), load(whole, batch=2))
    out = tmp_path / "x.ts"
    export_model(load_model(whole), check("nn", out), out)
    one_class_for_all(load(out, batch=2), load(whole, batch=2))


FRAMES = np.zeros((2, 1, 64), np.float32)


def two_classes_at_once(player: Player, wanted: Player) -> None:
    """Each stream of the batch plays a class of its own, and then the other one."""
    for classes in (np.eye(2), np.eye(2)[::-1]):
        for each in (player, wanted):
            each.reset()
            each.set("classes", classes)
        heard = player.process("generate", FRAMES)
        assert np.abs(heard - wanted.process("generate", FRAMES)).max() < 1e-5
        for sound, weights in zip(heard, classes, strict=True):
            hertz = TONES[sorted(TONES)[int(np.argmax(weights))]]
            spectrum = np.abs(np.fft.rfft(sound[0, 2 * BLOCK :] * np.hanning(62 * BLOCK)))
            loudest = np.argmax(spectrum) * RATE / (62 * BLOCK)
            assert loudest == pytest.approx(hertz, abs=60)


def one_class_for_all(player: Player, wanted: Player) -> None:
    """A `.ts` file has one set of attributes, and says so."""
    with pytest.raises(ConfigError, match=r"classes is shared by all streams in a \.ts file"):
        player.set("classes", np.eye(2))
    assert player.get("classes", 1).tolist() == [0.5, 0.5], "what was refused changes nothing"
    for each in (player, wanted):
        each.set("classes", [0.25, 0.75])
    heard = player.process("generate", FRAMES)
    assert np.abs(heard).max() > 1e-3
    assert np.abs(heard - wanted.process("generate", FRAMES)).max() < 1e-5
