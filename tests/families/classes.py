"""A toy family that generates sound of a class: its only method is `generate`, and the class an
attribute, a weight for each, so that classes can be mixed and every stream has its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile
import torch

from engine.description import Attribute
from engine.layers import Control, ConvTranspose1d, Guard
from engine.models.base import Model, ModelConfig
from engine.models.chain import Chain
from engine.models.registry import Family
from tests.families.driver import Toy
from training.data.base import Batch
from training.objectives.base import Moment, Objective, Terms
from training.objectives.losses import spectral_terms

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
    """One grain for each class; the input says with its length how long to go on."""

    family = "bells"

    def __init__(self, config: BellsConfig) -> None:
        super().__init__()
        self.config = config
        self.grains = ConvTranspose1d(config.classes, 1, 2 * BLOCK, BLOCK)

    def chains(self) -> dict[str, Chain]:
        return {"generate": Chain.of(
            Guard(1), Control(1, "class", self.config.classes), ("grains", self.grains),
            inputs=("time",), outputs=("audio",), in_ratio=BLOCK, role="generate")}

    def declared_attributes(self) -> tuple[Attribute, ...]:
        count = self.config.classes
        return (Attribute("class", count, 1 / count, 0.0, 1.0, "share of each class"),)


class OfClass(Objective):
    """Sound with the spectrum of the class."""

    def losses(self, batch: Batch, at: Moment) -> Terms:
        audio = batch["audio"]
        one = torch.nn.functional.one_hot(batch["label"], self.model.config.classes).float()
        frames = audio.new_zeros(len(audio), 1, audio.shape[-1] // BLOCK)
        made = self.played("generate", frames, **{"class": one})
        _, linear = spectral_terms(made, audio[..., : made.shape[-1]])
        return {"loss": linear}  # the few loud bins


def fill(folder: Path) -> None:
    """A tone for each class, and a sound of none."""
    for name, hertz in TONES.items():
        (folder / name).mkdir(parents=True)
        for index in range(3):
            t = np.arange(RATE) / RATE + index
            soundfile.write(folder / name / f"{index}.wav", 0.3 * np.sin(6.283185 * hertz * t),
                            RATE)
    soundfile.write(folder / "loose.wav", 0.1 * np.ones(RATE), RATE)


TOY = Toy(Family(BellsConfig, Bells, "a toy of classes", "of class", "labelled"), PRESET, fill,
          OfClass)
