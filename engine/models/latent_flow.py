"""Loops by a flow: chunk after chunk, noise becomes latents that go on from those before.

    conditions -> features -> plan -> mean, log_std  (`latent_vae`)     once a chunk
              +-> noise, of the place in the bar or new
    chunks before -+-> gated layers, dilations 1, 2, 4, ..., or a transformer -> context
    noise -> x;  x = x + d velocity(x, t, d, context),  t = 0, d, 2d, ... below 1
    mean + exp(log_std) x -> the chunk

What is drawn is what the plan leaves open, in its own standard deviations: rhythm and level are the
plan's however well the flow has learnt.

Rectified flow (Liu et al. 2023): velocity points from noise to data on straight lines. A shortcut
(Frans et al. 2025) also knows how long a step it takes, so that one step can be enough.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor

from engine.description import Attribute
from engine.layers import (
    Channels,
    Conv1d,
    Exp,
    GatedStack,
    Guard,
    Identity,
    LeakyReLU,
    Loop,
    Parallel,
    Sequence,
    Streaming,
    TransformerStack,
)
from engine.models.base import Model
from engine.models.chain import Link
from engine.models.flow import STEPS, Flow, Velocity
from engine.models.loops import LoopModel
from engine.models.loops_config import LoopConfig, Width
from engine.models.loops_parts import chunk_noise


class LatentFlowConfig(LoopConfig):
    """Shape of a flow and of its plan."""

    # What reads the chunks before: gated convolutions, dilations 1, 2, 4, ..., or a causal
    # transformer, each of whose layers attends to the last `window` chunks.
    backbone: Literal["convolution", "transformer"] = "convolution"
    history_width: Width = 96
    history: Annotated[int, Field(ge=1, le=12)] = 6  # layers of it
    heads: Annotated[int, Field(ge=1, le=64)] = 4  # of the transformer
    window: Annotated[int, Field(ge=2, le=256)] = 8
    flow_width: Width = 192  # of the velocity
    steps: Literal[1, 2, 4, 8, 16, 32] = 1  # from noise to a chunk, at most

    noise: ClassVar[bool] = True

    @model_validator(mode="after")
    def _divides(self) -> LatentFlowConfig:
        if self.backbone == "transformer" and self.history_width % self.heads:
            raise ValueError(f"heads = {self.heads} must divide history_width = "
                             f"{self.history_width}")
        return self


class LatentFlow(LoopModel):
    """Methods as of `latent_vae`; what is drawn goes on from what was drawn before."""

    family: ClassVar[str] = "latent_flow"
    config: LatentFlowConfig

    def __init__(self, config: LatentFlowConfig, codec: Model | None = None) -> None:
        super().__init__(config, codec)
        size, told = config.chunk * config.latents, self.features.out_channels
        wide, planned = config.history_width, told + config.width
        # Noise | means | log_stds | features | plan
        self.before = Parallel(
            chunk_noise(config, config.row_samples / config.sample_rate_hz),
            Sequence(self.features, Parallel(Identity(told), self.plan, combine="concat"), Parallel(
                Sequence(Channels(planned, told, planned), self.spelt_out), Identity(planned),
                combine="concat")), combine="concat")
        past = backbone(config, planned + size)
        self._context = (Sequence(
            Parallel(Channels(planned + size, 0, planned), past, combine="concat"),
            Conv1d(planned + wide, wide, 1), LeakyReLU(wide)),)
        flow = Flow(Velocity(size, wide, config.flow_width), wide, config.steps)
        self._flow = (flow,)  # in tuples: both stand in the loop
        whole = 4 * size + planned  # with the chunk before
        heard = Sequence(Channels(whole, 3 * size, whole), self._context[0])
        drawn = Sequence(
            Parallel(Channels(whole, 0, size), heard, combine="concat"), flow)
        spread = Sequence(Channels(whole, 2 * size, 3 * size), Exp(size))
        self.loop = Loop(Sequence(Parallel(
            Channels(whole, size, 2 * size), Parallel(spread, drawn, combine="product"))),
            Guard(size))

    def declared_attributes(self) -> tuple[Attribute, ...]:
        most, own = self.config.steps, super().declared_attributes()
        if most == 1:
            return own
        help_text = "from noise to a chunk: 1, 2, 4, ...; more cost more"
        return (*own, Attribute(STEPS, 1, float(most), 1.0, float(most), help_text, ("",)))

    @property
    def velocity(self) -> Velocity:
        """What the flow is made of."""
        return self._flow[0].velocity

    @property
    def history_front(self) -> Conv1d:
        """The first layer of what hears the chunks before; its last channels are the one before."""
        past = self._context[0]
        return next(part for part in past.modules() if isinstance(part, Conv1d))

    def making(self) -> tuple[Link, ...]:
        return ("before", self.before), ("loop", self.loop)

    def heard_before(self, told: Tensor, plan: Tensor, before: Tensor) -> Tensor:
        """Context [batch, history_width, chunks] of features, plans and the chunk before each, as
        the loop works it out, from fresh state."""
        return self._context[0].offline(torch.cat((told, plan, before), dim=1))


def backbone(config: LatentFlowConfig, channels: int) -> Streaming:
    """[channels] of a chunk and of the one before -> [history_width], of the chunks before too. The
    place in the bar is among the channels, so attention knows how far back a chunk is."""
    wide, front = config.history_width, Conv1d(channels, config.history_width, 1)
    if config.backbone == "transformer":
        return Sequence(front, TransformerStack(wide, config.history, config.heads, config.window))
    return GatedStack(front, None, [2**i for i in range(config.history)])
