"""A toy family that generates sound of a class."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile
import torch

from engine.layers import ConvTranspose1d, Guard
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
