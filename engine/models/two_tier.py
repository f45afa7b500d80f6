"""A network of two rates (after SampleRNN, Mehri et al. 2017, made of convolutions): frames of N
samples through dilated gated layers, and for every sample a small perceptron.

    the last N samples -> frame -> gated layers, dilations 1, 2, 4, ... -> N rows    once a frame
                  conditions ------^                                         |
    the last samples -----------------------------------------> perceptron <-+       every sample
                                                                    -> the next sample

Conditions have the rate of the frames. A frame is made when its last sample is there and speaks for
the next N.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field, model_validator
from torch import nn

from engine.layers import (
    Channels,
    Conv1d,
    ConvTranspose1d,
    GatedUnit,
    Loop,
    Parallel,
    Past,
    Sequence,
    Streaming,
    Tanh,
)
from engine.layers.fixed import Repeat
from engine.layers.stack import GatedStack
from engine.models import autoregressive_heads as heads
from engine.models import autoregressive_parts as parts
from engine.models.autoregressive_config import AutoregressiveConfig, Kernel, Layers, Width
from engine.models.autoregressive_parts import DrawingModel
from engine.models.chain import Link


class TwoTierConfig(AutoregressiveConfig):
    """Shape of a network of two rates."""

    frame: Annotated[int, Field(ge=2, le=256)] = 16  # samples
    stacks: Layers = 1
    layers: Annotated[int, Field(ge=1, le=14)] = 8  # dilations 1, 2, 4, ... of each stack
    width: Width = 48  # of the frames
    inner: Width = 48  # of the perceptron
    near: Kernel = 16  # samples that it reads
    kernel_size: Kernel = 2  # of the gated layers, in frames
    embedding: Width = 8  # channels in which a step is read; a number is read in two
    # With `period_taps`: the last samples and those a period ago are read by the same convolutions,
    # `near` and `taps` of both, and frames are made of both. A board calls fewer operations.
    joined: bool = False

    unsaid: ClassVar[tuple[str, ...]] = (*AutoregressiveConfig.unsaid, "joined")

    @model_validator(mode="after")
    def _joins(self) -> TwoTierConfig:
        if self.joined and not self.period_taps:
            raise ValueError("joined = true reads the sound a period ago beside the last samples: "
                             "it needs period_taps = 2 or more")
        return self

    @property
    def row_samples(self) -> int:
        return self.frame

    @property
    def dilations(self) -> list[int]:
        """One per layer, in order."""
        return [2**i for i in range(self.layers)] * self.stacks


class TwoTier(DrawingModel):
    """Methods: `generate`, and `forward` with `effect`."""

    family: ClassVar[str] = "two_tier"
    config: TwoTierConfig

    def __init__(self, config: TwoTierConfig) -> None:
        super().__init__(config)
        at = parts.Places(config)
        if config.voices:
            self.rows = parts.rows(config)
            self.repeat = Repeat(at.count, config.frame)
        net = self._net(at.count if config.voices else 0)
        self.loop = Loop(net, heads.draw(config), at.shut if config.voices else 0)
        self.sound = nn.ModuleList(heads.sound(config))

    def _net(self, given: int) -> Streaming:
        """Rows of conditions [given] and what was drawn [1] -> what is drawn from."""
        config, count = self.config, len(self.config.dilations)
        ago = heads.periods_ago(config, given, parts.Places(config).given)
        far = len(ago) * config.voices  # numbers that were drawn a period ago
        # Both tiers read what was drawn in `read` channels; `known` come before: conditions, and
        # what was drawn a period ago unless that is among the `read`.
        side = far if config.joined else 0
        heard = heads.reading(config, config.embedding, side)
        read, known = heard[-1].out_channels, given + far - side
        inside, whole = given + far + 1, known + read
        both: Streaming = Sequence(Channels(inside, known, inside), *heard)
        if given:
            both = Parallel(Channels(inside, 0, known), both, combine="concat")
        conditions = Sequence(
            Channels(whole, 0, given), parts.features(config, config.frame),
            Conv1d(config.features, 2 * config.width * count, 1, bias=False)) if given else None
        front = Sequence(Channels(whole, known, whole),
                         Conv1d(read, config.width, config.frame, stride=config.frame))
        slow = Sequence(
            GatedStack(front, conditions, config.dilations, config.kernel_size),
            ConvTranspose1d(config.width, config.inner, config.frame, config.frame),
            Past(config.inner, config.frame - 1))
        near: list[Streaming] = [
            Sequence(Channels(whole, known, whole), Conv1d(read, config.inner, config.near))]
        if ago and not config.joined:
            near.append(heads.heard_ago(config, whole, given, config.inner))
        hidden = Sequence(
            both, Parallel(slow, *near), Tanh(config.inner),
            Conv1d(config.inner, 2 * config.inner, 1), GatedUnit(2 * config.inner))
        return heads.head(config, hidden, ago, config.joined)

    def conditioned(self) -> tuple[Link, ...]:
        return ("rows", self.rows), ("repeat", self.repeat)
