"""Loops by a flow: chunk after chunk, noise becomes latents that go on from those before.

    conditions -> features -> plan -> mean, log_std  (`latent_vae`)     once a chunk
              +-> noise, of the place in the bar or new
    chunks before -+-> gated layers, dilations 1, 2, 4, ... -> context
    noise -> x;  x = x + d velocity(x, t, d, context),  t = 0, d, 2d, ... below 1
    mean + exp(log_std) x -> the chunk

What is drawn is what the plan leaves open, in its own standard deviations: rhythm and level are the
plan's however well the flow has learnt.

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
    Exp,
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
from engine.models.base import Model
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
    hidden layers are biased by t and d, and a share of x, of each number by t and d: most of
    a velocity is linear in x, which hidden layers would spend their width on."""

    SLOPE = 0.2

    def __init__(self, size: int, context: int, width: int) -> None:
        super().__init__()
        self.size, self.width = size, width
        self.first = Conv1d(size + context, width, 1)
        self.second = Conv1d(width, width, 1)
        self.last = Conv1d(width, size, 1)
        self.times = nn.ModuleList((nn.Linear(6, 64), nn.Linear(64, 2 * width + size)))
        nn.init.zeros_(self.last.weight)

    @staticmethod
    def said(t: Tensor, d: Tensor) -> Tensor:
        """Times and steps [...] as what biases are made of [..., 6]."""
        octaves = -torch.log2(d.clamp_min(1 / 256)) / 4  # a step of 0 is the least
        return torch.stack((t, torch.sin(pi * t), torch.cos(pi * t), torch.sin(2 * pi * t),
                            d, octaves), dim=-1)

    def biases(self, said: Tensor) -> tuple[Tensor, ...]:
        """Of what is `said`: biases of both hidden layers [..., width], shares of x [..., size]."""
        first, second = self.times
        hidden = first(said)
        found, wide = second(hidden * torch.sigmoid(hidden)), self.width
        return found[..., :wide], found[..., wide : 2 * wide], found[..., 2 * wide :]

    def forward(self, x: Tensor, context: Tensor, t: Tensor, d: Tensor) -> Tensor:
        """`x` [batch, size, rows], `context` [batch, context, rows], `t` and `d` [batch, rows]."""
        return self.told(x, context, *(b.transpose(1, 2) for b in self.biases(self.said(t, d))))

    def told(self, x: Tensor, context: Tensor, first: Tensor, second: Tensor, share: Tensor
             ) -> Tensor:
        """`biases` being known: [..., width, rows] or [width, 1]."""
        act = nn.functional.leaky_relu
        h = act(self.first(torch.cat((x, context), dim=1), ())[0] + first, self.SLOPE)
        h = act(self.second(h, ())[0] + second, self.SLOPE)
        moved: Tensor = self.last(h, ())[0] + share * x
        return moved


class Flow(Streaming):
    """[x | context] -> x, moved from noise to data in equal steps: the velocity at fixed times, so
    that its biases are constants. All steps have the same weights."""

    said: Tensor

    def __init__(self, velocity: Velocity, context: int, steps: int) -> None:
        super().__init__(velocity.size + context, velocity.size)
        self.velocity, self.steps = velocity, steps
        begins = torch.arange(steps) / steps
        self.register_buffer("said", velocity.said(begins, torch.full((steps,), 1 / steps)),
                             persistent=False)  # [steps, 6]

    def macs_per_frame(self) -> float:
        velocity = self.velocity
        return self.steps * float(velocity.size + sum(layer.weight.numel() for layer in (
            velocity.first, velocity.second, velocity.last)))

    def weights(self, step: int) -> list[tuple[Tensor, Tensor]]:
        """Weight and bias of each layer; the last ones make the step as long as it is."""
        velocity, each = self.velocity, 1 / self.steps
        *later, _ = velocity.biases(self.said[step])
        found = []
        for layer, bias in zip((velocity.first, velocity.second), later, strict=True):
            assert layer.bias is not None
            found.append((layer.weight, layer.bias + bias))
        assert velocity.last.bias is not None
        return [*found, (velocity.last.weight * each, velocity.last.bias * each)]

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        velocity, size = self.velocity, self.velocity.size
        moved, context = x[:, :size], x[:, size:]
        for step in range(self.steps):
            biases = (bias.unsqueeze(1) for bias in velocity.biases(self.said[step]))
            moved = moved + velocity.told(moved, context, *biases) * (1 / self.steps)
        return moved, state

    def lower(self, build: Builder, x: Value) -> Value:
        size = self.velocity.size
        moved = build.op("slice", x, channels=size, attributes={"start": 0, "stop": size})
        context = build.op("slice", x, channels=x.channels - size,
                           attributes={"start": size, "stop": x.channels})
        for step in range(self.steps):
            h = x if not step else build.op("concat", moved, context, channels=x.channels)
            for number, (weight, bias) in enumerate(self.weights(step)):
                if number:
                    h = build.op("leaky_relu", h, attributes={"slope": self.velocity.SLOPE})
                with build.scope(f"step{step}_{number}"):
                    h = build.op(
                        "conv1d", h, channels=weight.shape[0],
                        attributes={"kernel_size": 1, "stride": 1, "dilation": 1, "groups": 1},
                        weights={"weight": weight, "bias": bias},
                        macs_per_frame=float(weight.numel()))
            share = 1 + self.velocity.biases(self.said[step])[2] / self.steps
            with build.scope(f"step{step}_share"):
                moved = build.op(
                    "conv1d", moved, channels=size,
                    attributes={"kernel_size": 1, "stride": 1, "dilation": 1, "groups": size},
                    weights={"weight": share[:, None, None], "bias": torch.zeros(size)},
                    macs_per_frame=float(size))
            moved = build.op("add", moved, h)
        return moved


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
        past = GatedStack(Conv1d(planned + size, wide, 1), None,
                          [2**i for i in range(config.history)])
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

    @property
    def velocity(self) -> Velocity:
        """What the flow is made of."""
        return self._flow[0].velocity

    def making(self) -> tuple[Link, ...]:
        return ("before", self.before), ("loop", self.loop)

    def heard_before(self, told: Tensor, plan: Tensor, before: Tensor) -> Tensor:
        """Context [batch, history_width, chunks] of features, plans and the chunk before each, as
        the loop works it out, from fresh state."""
        return self._context[0].offline(torch.cat((told, plan, before), dim=1))
