"""A toy family that turns sound into other sound: learns from pairs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

from engine.layers import Conv1d, Guard, LeakyReLU, Sequence
from engine.models.base import Model, ModelConfig
from engine.models.chain import Chain
from engine.models.registry import Family
from tests.families.driver import Toy

RATE = 8000
PRESET = """
[model]
family = "shaper"
sample_rate_hz = 8000
[training]
batch_size = 2
crop_seconds = 0.3
log_steps = 1
learning_rate = 1e-2
schedule = "constant"
validation_fraction = 0.3
"""


class ShaperConfig(ModelConfig):
    width: int = 8


class Shaper(Model):
    """A filter and a curve."""

    family = "shaper"

    def __init__(self, config: ShaperConfig) -> None:
        super().__init__()
        self.config, width = config, config.width
        self.layers = Sequence(Guard(1), Conv1d(1, width, 16), LeakyReLU(width),
                               Conv1d(width, 1, 1))

    def chains(self) -> dict[str, Chain]:
        return {"forward": Chain.of(("layers", self.layers), inputs=("audio",),
                                    outputs=("audio",), role="effect")}


def fill(folder: Path) -> None:
    """Noise, and the same darker and half as loud."""
    for part in ("input", "target"):
        (folder / part).mkdir(parents=True)
    for index in range(4):
        x = 0.3 * np.random.default_rng(index).standard_normal(4 * RATE)
        soundfile.write(folder / f"input/{index}.wav", x, RATE)
        soundfile.write(folder / f"target/{index}.wav", 0.5 * (x + np.roll(x, 1)) / 2, RATE)


TOY = Toy(Family(ShaperConfig, Shaper, "a toy effect", "paired", "pairs"), PRESET, fill,
          calibrate="input")
