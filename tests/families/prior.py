"""A toy family that generates the latents of another model, which makes sound of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile

from engine.description import Attribute
from engine.layers import Conv1d, Guard, LeakyReLU, LogisticMixture, Loop, Sequence
from engine.models.base import Model, ModelConfig
from engine.models.chain import Chain
from engine.models.registry import Family
from tests.families.driver import Toy

RATE = 16000
CODER = "techno-tiny"
PRESET = f"""
[model]
family = "prior"
sample_rate_hz = {RATE}
[training]
coder = "{CODER}"
batch_size = 4
crop_seconds = 0.5
log_steps = 1
learning_rate = 3e-2
warmup_steps = 2
schedule = "constant"
validation_fraction = 0.3
"""


class PriorConfig(ModelConfig):
    latents: int = 16
    ratio: int = 128  # audio samples for a frame
    width: int = 24
    parts: int = 2  # of the mixture that each latent is drawn from


class Prior(Model):
    """Frame after frame, from the eight before; the input only says how long to go on."""

    family = "prior"

    def __init__(self, config: PriorConfig) -> None:
        super().__init__()
        self.config, width = config, config.width
        net = Sequence(Conv1d(config.latents, width, 8), LeakyReLU(width),
                       Conv1d(width, 3 * config.parts * config.latents, 1))
        self.loop = Loop(net, LogisticMixture(config.parts, config.latents, limit=4.0))

    def chains(self) -> dict[str, Chain]:
        names = tuple(f"latent {i + 1}" for i in range(self.config.latents))
        return {"generate": Chain.of(Guard(1), ("loop", self.loop), inputs=("time",),
                                     outputs=names, in_ratio=self.config.ratio, role="generate")}

    def declared_attributes(self) -> tuple[Attribute, ...]:
        return (Attribute("temperature", 1, 1.0, 0.0, 4.0, "spread of what is drawn"),
                Attribute("seed", 1, 0.0, 0.0, 16777215.0, "another number, another sound"))


def fill(folder: Path) -> None:
    """Decaying tones, four a second."""
    t = np.arange(2 * RATE) / RATE
    for index in range(4):
        tone = np.sin(2 * np.pi * 110 * (index + 1) * t)
        soundfile.write(folder / f"{index}.wav", 0.5 * tone * np.exp(-12 * (t % 0.25)), RATE)


TOY = Toy(Family(PriorConfig, Prior, "a toy prior", "autoregressive", "latents"), PRESET, fill,
          decoder=CODER)
