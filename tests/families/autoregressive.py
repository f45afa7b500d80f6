"""A toy autoregressive family: conditions in, audio out, sample by sample."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import soundfile

from engine.description import Attribute
from engine.layers import (
    Categorical,
    Channels,
    Conv1d,
    ConvTranspose1d,
    Embed,
    GatedUnit,
    Guard,
    LeakyReLU,
    LogisticMixture,
    Loop,
    Parallel,
    Past,
    Residual,
    Sequence,
    Streaming,
    Tanh,
    mu_law_table,
)
from engine.models.base import Model, ModelConfig
from engine.models.chain import Chain
from engine.models.registry import Family
from tests.families.driver import Toy

RATE = 8000
PRESET = """
[model]
family = "autoregressive"
sample_rate_hz = 8000
channels = 8
layers = 3
[training]
batch_size = 4
crop_seconds = 0.1
log_steps = 1
learning_rate = 1e-2
warmup_steps = 2
schedule = "constant"
validation_fraction = 0.3
"""


class AutoregressiveConfig(ModelConfig):
    """`wavenet`: dilated layers, classes of mu-law. `tiers`: frames of four samples tell a small
    net what was played, and samples come from a mixture."""

    kind: Literal["wavenet", "tiers"] = "wavenet"
    channels: int = 16
    layers: int = 4
    classes: int = 64
    hop: int = 16  # audio samples per row of conditions


def _wavenet(config: AutoregressiveConfig) -> Loop:
    channels = config.channels
    first = Parallel(
        Sequence(Channels(channels + 1, 0, channels), Conv1d(channels, channels, 1)),
        Sequence(Channels(channels + 1, channels, channels + 1), Embed(config.classes, channels)))
    stack = [Residual(Conv1d(channels, 2 * channels, 2, dilation=2**i), GatedUnit(2 * channels),
                      Conv1d(channels, channels, 1)) for i in range(config.layers)]
    net = Sequence(first, *stack, LeakyReLU(channels, 0.0), Conv1d(channels, config.classes, 1))
    return Loop(net, Categorical(config.classes))


def _tiers(config: AutoregressiveConfig) -> Loop:
    channels, step = config.channels, 4
    slow = Sequence(Conv1d(channels + 1, channels, 2 * step, stride=step), Tanh(channels),
                    Conv1d(channels, channels, 3), Tanh(channels),
                    ConvTranspose1d(channels, channels, step, step), Past(channels, step - 1))
    net = Sequence(Parallel(slow, Conv1d(channels + 1, channels, 4)), Tanh(channels),
                   Conv1d(channels, 12, 1))
    return Loop(net, LogisticMixture(4))


class Autoregressive(Model):
    """One method, `generate`."""

    family: ClassVar[str] = "autoregressive"
    config: AutoregressiveConfig

    def __init__(self, config: AutoregressiveConfig) -> None:
        super().__init__()
        self.config = config
        self.guard = Guard(2)
        self.conditions = ConvTranspose1d(2, config.channels, config.hop, config.hop)
        self.loop = {"wavenet": _wavenet, "tiers": _tiers}[config.kind](config)
        self.sound: list[Streaming] = []
        if config.kind == "wavenet":
            self.sound = [Embed(config.classes, 1, mu_law_table(config.classes))]
            self.table = self.sound[0]  # so that it moves with the model

    def chains(self) -> dict[str, Chain]:
        return {"generate": Chain.of(
            self.guard, ("conditions", self.conditions), ("loop", self.loop), *self.sound,
            inputs=("pitch", "level"), outputs=("audio",), in_ratio=self.config.hop,
            role="generate")}

    def declared_attributes(self) -> tuple[Attribute, ...]:
        found = (
            Attribute("temperature", 1, 1.0, 0.0, 4.0, "spread of what is drawn", ("",)),
            Attribute("top_p", 1, 1.0, 0.0, 1.0, "share of the likeliest classes", ("",)),
            Attribute("seed", 1, 0.0, 0.0, 16777215.0, "another number, another sound", ("",)),
        )
        return tuple(a for a in found if a.name in self.loop.uses)


def fill(folder: Path) -> None:
    """Tones of a few pitches."""
    t = np.arange(RATE) / RATE
    for index in range(4):
        soundfile.write(folder / f"{index}.wav", 0.4 * np.sin(2 * np.pi * 100 * (2 + index) * t),
                        RATE)


TOY = Toy(Family(AutoregressiveConfig, Autoregressive, "a toy that draws samples",
                 "autoregressive", "crops"), PRESET, fill)
