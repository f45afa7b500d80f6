"""WaveNet (van den Oord et al. 2016): sound, sample by sample, from dilated causal convolutions.

    conditions -> rows -> features -> a row for every sample -> projections, all layers at once
                                                                      |
    what was drawn before -> stacks of gated layers, dilations 1, 2, 4, ... -> all z side by side
                              -> 1x1 -> relu -> 1x1 -> relu -> distribution -> the next sample

The gates of every layer get the conditions (equation 3 of the paper). The distribution is a
softmax over steps, as in the paper, or a mixture of logistics around a linear prediction.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field
from torch import nn

from engine.layers import (
    Channels,
    Conv1d,
    LeakyReLU,
    Loop,
    Parallel,
    Sequence,
    Streaming,
)
from engine.layers.fixed import Repeat
from engine.layers.stack import GatedStack
from engine.models import autoregressive_heads as heads
from engine.models import autoregressive_parts as parts
from engine.models.autoregressive_config import AutoregressiveConfig, Kernel, Layers, Width
from engine.models.autoregressive_parts import DrawingModel
from engine.models.chain import Link


class WaveNetConfig(AutoregressiveConfig):
    """Shape of a WaveNet: `stacks` times the dilations 1, 2, 4, ... of `layers`."""

    stacks: Layers = 2
    layers: Annotated[int, Field(ge=1, le=14)] = 9
    residual: Width = 32
    skip: Width = 64
    kernel_size: Kernel = 2
    condition_samples: Annotated[int, Field(ge=1, le=4096)] = 16  # for a row of conditions

    @property
    def row_samples(self) -> int:
        return self.condition_samples

    @property
    def dilations(self) -> list[int]:
        """One per layer, in order."""
        return [2**i for i in range(self.layers)] * self.stacks


class WaveNet(DrawingModel):
    """Methods: `generate`, and `forward` with `effect`."""

    family: ClassVar[str] = "wavenet"
    config: WaveNetConfig

    def __init__(self, config: WaveNetConfig) -> None:
        super().__init__(config)
        given = 0
        if config.voices:
            self.rows, self.conditions, given = self._conditions()
        gate = parts.Places(config).shut if config.voices else 0
        self.loop = Loop(self._net(given), heads.draw(config), gate)
        self.sound = nn.ModuleList(heads.sound(config))

    def _conditions(self) -> tuple[Sequence, Sequence, int]:
        """Conditions -> rows -> for every sample: projections, and what gates the loop."""
        config, at = self.config, parts.Places(self.config)
        wide = 2 * config.residual * len(config.dilations)
        slow = Parallel(parts.features(config), Channels(at.count, at.given, at.count),
                        combine="concat")
        count, whole = config.features, config.features + len(at.periods) + at.shut
        fast = Parallel(
            Sequence(Channels(whole, 0, count), Conv1d(count, wide, 1, bias=False)),
            Channels(whole, count, whole), combine="concat")
        return (parts.rows(config),
                Sequence(slow, Repeat(whole, config.condition_samples), fast),
                wide + whole - count)

    def _net(self, given: int) -> Streaming:
        """Conditions [given] and what was drawn [1] -> what is drawn from."""
        config = self.config
        wide, count = config.residual, len(config.dilations)
        ago = heads.periods_ago(config, given, 2 * wide * count)
        known = given + len(ago) * config.voices  # conditions, and periods ago
        front: list[Streaming] = [Channels(known + 1, known, known + 1)] if given else []
        conditions = Channels(known + 1, 0, 2 * wide * count) if given else None
        front += heads.reading(config, wide)
        if front[-1].out_channels != wide or config.head == "mixture":
            front.append(Conv1d(front[-1].out_channels, wide, config.kernel_size))
        first: Streaming = Sequence(*front)
        if ago:
            first = Parallel(first, heads.heard_ago(config, known + 1, given, wide))
        stack = GatedStack(first, conditions, config.dilations, config.kernel_size, skips=True)
        hidden = Sequence(
            stack, Conv1d(count * wide, config.skip, 1), LeakyReLU(config.skip, 0.0),
            Conv1d(config.skip, config.skip, 1), LeakyReLU(config.skip, 0.0))
        return heads.head(config, hidden, ago)

    def conditioned(self) -> tuple[Link, ...]:
        return ("rows", self.rows), ("conditions", self.conditions)
