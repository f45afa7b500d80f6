"""The body of WaveNet (van den Oord et al. 2016, figure 4): dilated gated layers with residuals."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from engine.layers.base import (
    Attributes,
    State,
    Streaming,
    call,
    chain_oldest,
    split_state,
)
from engine.layers.combine import Composite
from engine.layers.conv import Conv1d
from engine.layers.pointwise import GatedUnit

if TYPE_CHECKING:
    from engine.graph import Builder, Value


class GatedStack(Composite):
    """h = front(x); in each layer z = tanh(a) sigmoid(b), [a | b] = dilated convolution of h, plus
    this layer's part of conditions(x); h = h + 1x1 convolution of z.

    `front` gives `width` channels, `conditions` 2 * width for each layer (equations 2 and 3 of the
    paper); both read the whole input. What comes out is h, or, with `skips`, every layer's z side
    by side: one convolution of them all is the sum of a convolution of each, and faster. The last
    layer then has no successor and gives no h."""

    def __init__(self, front: Streaming, conditions: Streaming | None, dilations: list[int],
                 kernel_size: int = 2, skips: bool = False) -> None:
        width, count = front.out_channels, len(dilations)
        super().__init__(front.in_channels, count * width if skips else width)
        if conditions is not None and (
                conditions.out_channels != 2 * width * count
                or (conditions.in_channels, conditions.ratio) != (front.in_channels, front.ratio)):
            raise ValueError(f"GatedStack: conditions must give {2 * width * count} channels at "
                             "the rate of the front, from the same input")
        self.front, self.conditions, self.skips, self.width = front, conditions, skips, width
        self.dilated = nn.ModuleList(
            Conv1d(width, 2 * width, kernel_size, dilation=d) for d in dilations)
        self.onward = nn.ModuleList(
            Conv1d(width, width, 1) for _ in dilations[: count - 1 if skips else count])
        self.gate = GatedUnit(2 * width)

    def __iter__(self) -> Iterator[Streaming]:
        yield self.front
        if self.conditions is not None:
            yield self.conditions
        yield from self.dilated  # type: ignore[misc]
        yield from self.onward  # type: ignore[misc]

    @property
    def ratio(self) -> Fraction:
        return self.front.ratio

    @property
    def granularity(self) -> int:
        return self.front.granularity

    @property
    def receptive_field(self) -> float:
        return self.granularity - self.oldest(0)

    def oldest(self, frame: int) -> float:
        longest = chain_oldest([self.front, *self.dilated], frame)  # type: ignore[list-item]
        return longest if self.conditions is None else min(longest, self.conditions.oldest(frame))

    def macs_per_frame(self) -> float:
        fast = (self.front, *([self.conditions] if self.conditions is not None else []))
        slow = (*self.dilated, *self.onward)
        return (sum(layer.macs_per_frame() for layer in fast)
                + sum(layer.macs_per_frame() for layer in slow) / float(self.ratio))  # type: ignore[operator, misc]

    def forward(
        self, x: Tensor, state: State, attributes: Attributes | None = None
    ) -> tuple[Tensor, State]:
        layers = tuple(self)
        states = iter(split_state(state, layers))
        h, new = call(self.front, x, next(states), attributes)
        given: tuple[Tensor, ...] = ()
        if self.conditions is not None:
            whole, after = call(self.conditions, x, next(states), attributes)
            new += after
            # At once: the gradient of each slice would be a whole tensor of zeros.
            given = whole.chunk(len(self.dilated), dim=1)
        said = []
        for index, dilated in enumerate(self.dilated):
            sums, after = dilated(h, next(states))
            new += after
            if given:
                sums = sums + given[index]
            z = self.gate(sums, ())[0]
            said.append(z)
            if index < len(self.onward):
                h = h + self.onward[index](z, ())[0]
        return (torch.cat(said, dim=1) if self.skips else h), new

    def lower(self, build: Builder, x: Value) -> Value:
        with build.scope("front"):
            h = self.front.lower(build, x)
        given: Value | None = None
        if self.conditions is not None:
            with build.scope("conditions"):
                given = self.conditions.lower(build, x)
        said = []
        for index, dilated in enumerate(self.dilated):
            with build.scope(f"layer{index}"):
                sums = dilated.lower(build, h)  # type: ignore[operator]
                if given is not None:
                    at = 2 * self.width * index
                    part = build.op("slice", given, channels=2 * self.width,
                                    attributes={"start": at, "stop": at + 2 * self.width})
                    sums = build.op("add", sums, part)
                z = self.gate.lower(build, sums)
                said.append(z)
                if index < len(self.onward):
                    with build.scope("onward"):
                        on = self.onward[index].lower(build, z)  # type: ignore[operator]
                    h = build.op("add", h, on)
        return build.op("concat", *said, channels=self.out_channels) if self.skips else h
