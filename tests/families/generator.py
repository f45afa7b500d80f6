"""A toy family whose only method is `generate`: noise of a colour that it learns, as loud as its
input says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile
import torch

from engine.description import Attribute
from engine.layers import Conv1d, ConvTranspose1d, Guard, NoiseMultiply
from engine.models.base import Model, ModelConfig
from engine.models.chain import Chain
from engine.models.registry import Family
from tests.families.driver import Toy
from training.data.base import Batch
from training.objectives.base import Moment, Objective, Terms
from training.objectives.losses import spectral_terms

RATE, BLOCK = 8000, 32
PRESET = """
[model]
family = "wash"
sample_rate_hz = 8000
[training]
batch_size = 2
crop_seconds = 0.5
log_steps = 1
learning_rate = 1e-2
warmup_steps = 2
schedule = "constant"
validation_fraction = 0.3
"""


class WashConfig(ModelConfig):
    bands: int = 16


class Wash(Model):
    """Bands of noise through a filter bank that is learnt."""

    family = "wash"

    def __init__(self, config: WashConfig) -> None:
        super().__init__()
        self.config, bands = config, config.bands
        self.level, self.noise = Conv1d(1, bands, 1), NoiseMultiply(bands)
        self.filters = ConvTranspose1d(bands, 1, 2 * BLOCK, BLOCK)

    def chains(self) -> dict[str, Chain]:
        return {"generate": Chain.of(Guard(1), ("level", self.level), self.noise,
                                     ("filters", self.filters), inputs=("level",),
                                     outputs=("audio",), in_ratio=BLOCK, role="generate")}

    def declared_attributes(self) -> tuple[Attribute, ...]:
        return (Attribute("seed", 1, 0.0, 0.0, 16777215.0, "another number, another sound"),)


class Colour(Objective):
    """Generated sound has the spectrum of what is learnt from."""

    def losses(self, batch: Batch, at: Moment) -> Terms:
        audio = batch["audio"]
        made = self.played("generate", audio.new_ones(len(audio), 1, audio.shape[-1] // BLOCK))
        distance, linear = spectral_terms(made, audio[..., : made.shape[-1]])
        return {"loss": distance + linear}


def fill(folder: Path) -> None:
    """Noise without its treble."""
    for index in range(4):
        x = np.random.default_rng(index).standard_normal(RATE)
        x = np.convolve(x, torch.hann_window(16).numpy() / 8, "same")
        soundfile.write(folder / f"{index}.wav", 0.3 * x, RATE)


TOY = Toy(Family(WashConfig, Wash, "a toy that generates", "colour", "crops"), PRESET, fill,
          Colour)
