"""From noise to data in a few steps: what moves, where to, and how it is lowered.

    noise -> x;  x = x + d velocity(x, t, d, context),  t = 0, d, 2d, ... below 1    -> data
"""

from __future__ import annotations

from copy import deepcopy
from itertools import pairwise
from math import pi
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from engine.graph import FloatArray
from engine.layers import Conv1d, Embed, State, Streaming
from engine.layers.base import Attributes
from engine.layers.control import Control

if TYPE_CHECKING:
    from engine.graph import Builder, Value

STEPS = "steps"  # the attribute


class Velocity(nn.Module):
    """Where `x` is to move at time `t` by a step of `d`: a perceptron of x and the context, whose
    hidden layers are biased by t and d, and a share of x, of each number by t and d: most of a
    velocity is linear in x, which hidden layers would spend their width on."""

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

    def biases(self, said: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Of what is `said`: biases of both hidden layers [..., width], shares of x [..., size]."""
        first, second = self.times
        hidden = first(said)
        found, wide = second(hidden * torch.sigmoid(hidden)), self.width
        return found[..., :wide], found[..., wide : 2 * wide], found[..., 2 * wide :]

    def forward(self, x: Tensor, context: Tensor, t: Tensor, d: Tensor) -> Tensor:
        """`x` [batch, size, rows], `context` [batch, context, rows], `t` and `d` [batch, rows]."""
        first, second, share = (b.transpose(1, 2) for b in self.biases(self.said(t, d)))
        return self.told(x, context, first, second) + share * x

    def told(self, x: Tensor, context: Tensor, first: Tensor, second: Tensor) -> Tensor:
        """What the perceptron has of it, the hidden layers' biases being known: [..., width, rows]
        or [width, 1]."""
        act = nn.functional.leaky_relu
        h = act(self.first(torch.cat((x, context), dim=1), ())[0] + first, self.SLOPE)
        h = act(self.second(h, ())[0] + second, self.SLOPE)
        moved: Tensor = self.last(h, ())[0]
        return moved


class Flow(Streaming):
    """[x | context] -> x, moved from noise to data in equal steps. All steps have the same weights;
    what each has of its own, biases and length, stands in a table.

    Where there may be several, the attribute `steps` says how many: 1, 2, 4, ... up to the most;
    between two of these the lower one. Steps that are not asked for are multiplied by 0, and the C
    runtime leaves them out."""

    said: Tensor
    lengths: Tensor

    def __init__(self, velocity: Velocity, context: int, steps: int) -> None:
        """`steps`: the most."""
        super().__init__(velocity.size + context, velocity.size)
        self.velocity, self.steps = velocity, steps
        counts = [2**i for i in range(steps.bit_length())]
        begins = torch.cat([torch.arange(count) / count for count in counts])
        lengths = torch.cat([torch.full((count,), 1 / count) for count in counts])
        # Of 1 step, then of 2, of 4, ...: [2 steps - 1, 6] and [2 steps - 1].
        said = velocity.said(begins.double(), lengths.double()).float()
        self.register_buffer("said", said, persistent=False)
        self.register_buffer("lengths", lengths, persistent=False)
        self.asked = Control(self.in_channels, STEPS)
        self.places = nn.ModuleList(Embed(steps + 1, 1, _places(step, steps))
                                    for step in range(steps)) if steps > 1 else None

    @property
    def uses(self) -> tuple[str, ...]:
        return () if self.places is None else (STEPS,)

    def macs_per_frame(self) -> float:
        velocity, size = self.velocity, self.velocity.size
        once = (self.in_channels - size) * velocity.width
        if self.places is None:  # else rows of a table multiply x, which are no weights
            once += size
        each = size * velocity.width + velocity.second.weight.numel() + velocity.last.weight.numel()
        return float(once + self.steps * each)

    def exact(self) -> tuple[Tensor, Tensor, Tensor]:
        """Biases and shares of each row of `said` in float64. What a file keeps of them is rounded
        from these: so it is the same whichever processor wrote it, while sums in float32 differ in
        their last bits by how many numbers a processor adds at once."""
        return deepcopy(self.velocity).double().biases(self.said.double())

    def table(self, biases: tuple[Tensor, Tensor, Tensor] | None = None) -> Tensor:
        """For each row of `said` the biases of both hidden layers, the step's length, and what of x
        it adds to x; last what stands for no step: [2 steps, 2 width + 1 + size]."""
        first, second, share = biases or self.velocity.biases(self.said)
        length = self.lengths[:, None].to(share.dtype)
        rows = torch.cat((first, second, length, share * length), dim=1)
        return torch.cat((rows, torch.zeros_like(rows[:1])))

    def forward(self, x: Tensor, state: State, attributes: Attributes | None = None
                ) -> tuple[Tensor, State]:
        size = self.velocity.size
        moved, context, table = x[:, :size], x[:, size:], self.table()
        if self.places is None:
            return self._moved(moved, context, table[:1, :, None]), state
        asked = self.asked(x, (), attributes or {})[0]
        for place in self.places:
            number = place(asked, ())[0].squeeze(1).to(torch.int64)
            row = nn.functional.embedding(number, table).transpose(1, 2)
            moved = self._moved(moved, context, row)
        return moved, state

    def _moved(self, x: Tensor, context: Tensor, row: Tensor) -> Tensor:
        """`x` after a step; `row` of the table [batch or 1, 2 width + 1 + size, rows or 1]."""
        width = self.velocity.width
        first, second = row[:, :width], row[:, width : 2 * width]
        length, share = row[:, 2 * width : 2 * width + 1], row[:, 2 * width + 1 :]
        return x * (1 + share) + self.velocity.told(x, context, first, second) * length

    def lower(self, build: Builder, x: Value) -> Value:
        size = self.velocity.size
        moved = build.op("slice", x, channels=size, attributes={"start": 0, "stop": size})
        context = build.op("slice", x, channels=x.channels - size,
                           attributes={"start": size, "stop": x.channels})
        if self.places is None:
            share = 1 + self.exact()[2][0]
            with build.scope("step0_share"):
                kept = build.op(
                    "conv1d", moved, channels=size,
                    attributes={"kernel_size": 1, "stride": 1, "dilation": 1, "groups": size},
                    weights={"weight": _array(share[:, None, None]), "bias": None},
                    macs_per_frame=float(size))
            return build.op("add", kept, self._only_step(build, x))
        return self._steps(build, x, moved, context)

    def _only_step(self, build: Builder, x: Value) -> Value:
        """One step from 0 to 1: its biases are constants."""
        velocity = self.velocity
        layers = (velocity.first, velocity.second, velocity.last)
        first, second, _ = self.exact()
        at_once = (first[0], second[0], torch.zeros_like(first[0, :1]))
        for number, (layer, more) in enumerate(zip(layers, at_once, strict=True)):
            assert layer.bias is not None
            if number:
                x = build.op("leaky_relu", x, attributes={"slope": velocity.SLOPE})
            with build.scope(f"step0_{number}"):
                x = _dense(build, x, _array(layer.weight), _array(layer.bias + more))
        return x

    def _steps(self, build: Builder, x: Value, moved: Value, context: Value) -> Value:
        """All steps, with the same arrays of weights and the same names. What the first layer makes
        of the context is the same in each."""
        velocity, size, width = self.velocity, self.velocity.size, self.velocity.width
        assert self.places is not None
        slope = {"slope": velocity.SLOPE}
        weights = [_array(layer.weight) for layer in
                   (velocity.first, velocity.second, velocity.last)]
        own = [layer.bias for layer in (velocity.first, velocity.second, velocity.last)]
        biases = [None if bias is None else _array(bias) for bias in own]
        with build.scope("context"):
            heard = _dense(build, context, weights[0][:, size:], biases[0])
        weights[0] = _array(weights[0][:, :size])
        table = self.table(self.exact())
        at = 2 * width  # the length once for each number that it multiplies
        rows = _array(torch.cat((table[:, :at], table[:, at : at + 1].expand(-1, size),
                                 1 + table[:, at + 1 :]), dim=1))
        asked = self.asked.lower(build, x)
        for step, place in enumerate(self.places):
            row = build.op("embed", place.lower(build, asked), channels=rows.shape[1],  # type: ignore[operator]
                           weights={"table": rows})
            ends = (0, width, 2 * width, 2 * width + size, 2 * width + 2 * size)
            first, second, length, share = (
                build.op("slice", row, channels=end - start,
                         attributes={"start": start, "stop": end})
                for start, end in pairwise(ends))
            h = moved
            for name, weight, bias, more in zip(
                    ("first", "second", "last"), weights, (None, *biases[1:]),
                    (build.op("add", heard, first), second, None), strict=True):
                with build.scope(name):
                    h = _dense(build, h, weight, bias, (STEPS, step) if step else None)
                if more is not None:
                    h = build.op("leaky_relu", build.op("add", h, more), attributes=slope)
            moved = build.op("add", build.op("mul", moved, share), build.op("mul", h, length))
        return moved


def _places(step: int, steps: int) -> Tensor:
    """For each number of steps that may be asked for, 0 ... steps, which row of the table step
    number `step` is: [steps + 1, 1]."""
    counts = [2 ** (max(asked, 1).bit_length() - 1) for asked in range(steps + 1)]
    return torch.tensor([[float(count - 1 + step if step < count else 2 * steps - 1)]
                         for count in counts])


def _dense(build: Builder, x: Value, weight: FloatArray, bias: FloatArray | None,
           above: tuple[str, int] | None = None) -> Value:
    """A layer of kernel 1, weight [out, in, 1]. `above`: an attribute, and the number that it must
    exceed for the result to matter."""
    attributes: dict[str, Any] = {"kernel_size": 1, "stride": 1, "dilation": 1, "groups": 1}
    if above is not None:
        attributes["above"] = above
    return build.op("conv1d", x, channels=len(weight), attributes=attributes,
                    weights={"weight": weight, "bias": bias}, macs_per_frame=float(weight.size))


def _array(weight: Tensor | FloatArray) -> FloatArray:
    """As graphs hold it; several operations that are given the same one share it."""
    found = weight.detach().cpu().numpy() if isinstance(weight, Tensor) else weight
    return np.ascontiguousarray(found, np.float32)
