"""Loops by a flow: chunk after chunk, noise becomes latents that go on from those before.

    conditions -> features -> plan  (`latent_vae`)     once a chunk
              +-> noise, of the place in the bar or new
    chunks before -+-> gated layers, dilations 1, 2, 4, ... -> context
    noise -> x;  x = x + d velocity(x, t, d, context),  t = 0, d, 2d, ... below 1    -> the chunk

Rectified flow (Liu et al. 2023): velocity points from noise to data on straight lines. A shortcut
(Frans et al. 2025) also knows how long a step it takes, so that one step can be enough.
"""

from __future__ import annotations

from math import pi
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from engine.layers import (
    Channels,
    Conv1d,
    GatedStack,
    Guard,
    Identity,
    LeakyReLU,
    Loop,
    Parallel,
    Sequence,
    State,
    Streaming,
)
from engine.models.chain import Link
from engine.models.loops import LoopModel
from engine.models.loops_config import LoopConfig, Width
from engine.models.loops_parts import chunk_noise

if TYPE_CHECKING:
    from engine.graph import Builder, Value


class LatentFlowConfig(LoopConfig):
    """Shape of a flow and of its plan."""

    history_width: Width = 96  # of what reads the chunks before
    history: Annotated[int, Field(ge=1, le=12)] = 6  # layers of it, dilations 1, 2, 4, ...
    flow_width: Width = 192  # of the velocity
    steps: Literal[1, 2, 4, 8, 16, 32] = 1  # from noise to a chunk

    noise: ClassVar[bool] = True


class Velocity(nn.Module):
    """Where `x` is to move at time `t` by a step of `d`: a perceptron of x and the context, whose
    hidden layers are biased by t and d."""

    SLOPE = 0.2

    def __init__(self, size: int, context: int, width: int) -> None:
        super().__init__()
        self.size, self.width = size, width
        self.first = Conv1d(size + context, width, 1)
        self.second = Conv1d(width, width, 1)
        self.last = Conv1d(width, size, 1)
        self.times = nn.Sequential(nn.Linear(6, 64), nn.SiLU(), nn.Linear(64, 2 * width))
        nn.init.zeros_(self.last.weight)

    def biases(self, t: Tensor, d: Tensor) -> tuple[Tensor, Tensor]:
        """[..., width] each, of times [...] and steps [...]."""
        octaves = -torch.log2(d.clamp_min(1 / 256)) / 4  # a step of 0 is the least
        said = torch.stack((t, torch.sin(pi * t), torch.cos(pi * t), torch.sin(2 * pi * t),
                            d, octaves), dim=-1)
        first, second = self.times(said).chunk(2, dim=-1)
        return first, second

    def forward(self, x: Tensor, context: Tensor, t: Tensor, d: Tensor) -> Tensor:
        """`x` [batch, size, rows], `context` [batch, context, rows], `t` and `d` [batch, rows]."""
        first, second = (b.transpose(1, 2) for b in self.biases(t, d))
        act = nn.functional.leaky_relu
        h = act(self.first(torch.cat((x, context), dim=1), ())[0] + first, self.SLOPE)
        h = act(self.second(h, ())[0] + second, self.SLOPE)
        moved: Tensor = self.last(h, ())[0]
        return moved


class Move(Streaming):
    """One step, [x | context] -> [x + d velocity | context]: the velocity's weights at a fixed
    time, so that its biases are constants."""

    def __init__(self, velocity: Velocity, context: int, t: float, d: float) -> None:
        super().__init__(velocity.size + context, velocity.size + context)
        self._velocity = (velocity,)  # in a tuple: the weights stay the model's own
        self.t, self.d = t, d

    def macs_per_frame(self) -> float:
        velocity, = self._velocity
        return float(sum(layer.weight.numel()
                         for layer in (velocity.first, velocity.second, velocity.last)))

    def _biases(self) -> list[Tensor]:
        velocity, = self._velocity
        like = velocity.first.weight
        first, second = velocity.biases(like.new_tensor(self.t), like.new_tensor(self.d))
        assert velocity.first.bias is not None and velocity.second.bias is not None
        assert velocity.last.bias is not None
        return [velocity.first.bias + first, velocity.second.bias + second,
                velocity.last.bias * self.d]

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        velocity, = self._velocity
        first, second, last = self._biases()
        conv, act = nn.functional.conv1d, nn.functional.leaky_relu
        h = act(conv(x, velocity.first.weight, first), velocity.SLOPE)
        h = act(conv(h, velocity.second.weight, second), velocity.SLOPE)
        moved = x[:, : velocity.size] + conv(h, velocity.last.weight * self.d, last)
        return torch.cat((moved, x[:, velocity.size :]), dim=1), state

    def lower(self, build: Builder, x: Value) -> Value:
        velocity, = self._velocity
        size, h = velocity.size, x
        layers = (velocity.first, velocity.second, velocity.last)
        for i, (layer, bias) in enumerate(zip(layers, self._biases(), strict=True)):
            last = i == 2
            h = build.op(
                "conv1d", h, channels=layer.out_channels,
                attributes={"kernel_size": 1, "stride": 1, "dilation": 1, "groups": 1},
                weights={"weight": layer.weight * self.d if last else layer.weight, "bias": bias},
                macs_per_frame=layer.macs_per_frame())
            if not last:
                h = build.op("leaky_relu", h, attributes={"slope": velocity.SLOPE})
        moved = build.op("add", build.op("slice", x, channels=size,
                                         attributes={"start": 0, "stop": size}), h)
        rest = build.op("slice", x, channels=x.channels - size,
                        attributes={"start": size, "stop": x.channels})
        return build.op("concat", moved, rest, channels=x.channels)


class LatentFlow(LoopModel):
    """Methods as of `latent_vae`; what is drawn goes on from what was drawn before."""

    family: ClassVar[str] = "latent_flow"
    config: LatentFlowConfig

    def __init__(self, config: LatentFlowConfig) -> None:
        super().__init__(config)
        size, told = config.chunk * config.latents, self.features.out_channels
        wide = config.history_width
        self.before = Parallel(
            chunk_noise(config, config.row_samples / config.sample_rate_hz),
            Sequence(self.features, Parallel(
                Identity(told), Sequence(self.plan, Channels(2 * size, 0, size)),
                combine="concat")), combine="concat")
        self.velocity = Velocity(size, wide, config.flow_width)
        past = GatedStack(Conv1d(told + 2 * size, wide, 1), None,
                          [2**i for i in range(config.history)])
        self._context = (Sequence(
            Parallel(Channels(told + 2 * size, 0, told + size), past, combine="concat"),
            Conv1d(told + size + wide, wide, 1), LeakyReLU(wide)),)
        self.loop = Loop(self._moves(), Guard(size))

    def making(self) -> tuple[Link, ...]:
        return ("before", self.before), ("loop", self.loop)

    def _moves(self) -> Streaming:
        """[noise | features | plan | the chunk before] -> the chunk."""
        config, size = self.config, self.config.chunk * self.config.latents
        told, wide = self.features.out_channels, self.config.history_width
        whole, each = told + 3 * size, 1.0 / self.config.steps
        heard = Sequence(Channels(whole, size, whole), self._context[0])
        return Sequence(
            Parallel(Channels(whole, 0, size), heard, combine="concat"),
            *(Move(self.velocity, wide, i * each, each) for i in range(config.steps)),
            Channels(size + wide, 0, size))

    def heard_before(self, told: Tensor, plan: Tensor, before: Tensor) -> Tensor:
        """Context [batch, history_width, chunks] of features, plan and the chunk before each, as
        the loop works it out, from fresh state."""
        return self._context[0].offline(torch.cat((told, plan, before), dim=1))
