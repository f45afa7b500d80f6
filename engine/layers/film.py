"""Residual convolutions that conditions scale and shift (feature-wise linear modulation)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from torch import Tensor, nn

from engine.layers.base import Attributes, State, Streaming, call, chain_oldest, split_state
from engine.layers.combine import Composite
from engine.layers.conv import Conv1d
from engine.layers.pointwise import LeakyReLU

if TYPE_CHECKING:
    from engine.graph import Builder, Value


class FilmStack(Composite):
    """h = front(x); in each layer, s and b being this layer's part of conditions(x):

        h = h + 1x1 conv of leaky(dilated conv of (s * leaky(h) + b))

    `front` gives `width` channels, `conditions` 2 * width for each layer; both read the whole
    input at its rate. Source: Perez et al. 2018 (FiLM), here on causal dilated convolutions."""

    def __init__(self, front: Streaming, conditions: Streaming, dilations: list[int],
                 kernel_size: int = 3) -> None:
        width, count = front.out_channels, len(dilations)
        super().__init__(front.in_channels, width)
        if conditions.out_channels != 2 * width * count:
            raise ValueError(f"FilmStack: conditions must give {2 * width * count} channels")
        if conditions.in_channels != front.in_channels or front.ratio != 1 or conditions.ratio != 1:
            raise ValueError("FilmStack: front and conditions read one input, at its rate")
        if front.lookahead or conditions.lookahead:
            raise ValueError("FilmStack: front and conditions must not look ahead")
        self.front, self.conditions = front, conditions
        self.dilated = nn.ModuleList(
            Conv1d(width, width, kernel_size, dilation=d) for d in dilations)
        self.onward = nn.ModuleList(Conv1d(width, width, 1) for _ in dilations)
        self.leaky = LeakyReLU(width)

    def __iter__(self) -> Iterator[Streaming]:
        yield self.front
        yield self.conditions
        yield from self.dilated  # type: ignore[misc]
        yield from self.onward  # type: ignore[misc]

    @property
    def receptive_field(self) -> float:
        return self.granularity - self.oldest(0)

    def oldest(self, frame: int) -> float:
        longest = chain_oldest([self.front, *self.dilated], frame)  # type: ignore[list-item]
        modulated = chain_oldest(
            [self.conditions, *self.dilated], frame)  # type: ignore[list-item]
        return min(longest, modulated)

    def macs_per_frame(self) -> float:
        return sum(layer.macs_per_frame() for layer in self)

    def forward(
        self, x: Tensor, state: State, attributes: Attributes | None = None
    ) -> tuple[Tensor, State]:
        states = iter(split_state(state, tuple(self)))
        h, new = call(self.front, x, next(states), attributes)
        given, after = call(self.conditions, x, next(states), attributes)
        new += after
        parts = given.chunk(2 * len(self.dilated), dim=1)
        for index, (dilated, onward) in enumerate(zip(self.dilated, self.onward, strict=True)):
            inner = self.leaky.function(h) * parts[2 * index] + parts[2 * index + 1]
            inner, after = dilated(inner, next(states))
            new += after
            h = h + onward(self.leaky.function(inner), ())[0]
        return h, new

    def lower(self, build: Builder, x: Value) -> Value:
        with build.scope("front"):
            h = self.front.lower(build, x)
        with build.scope("conditions"):
            given = self.conditions.lower(build, x)
        width = self.out_channels
        for index, (dilated, onward) in enumerate(zip(self.dilated, self.onward, strict=True)):
            with build.scope(f"layer{index}"):
                scale, shift = (build.op("slice", given, channels=width, attributes={
                    "start": at * width, "stop": (at + 1) * width})
                    for at in (2 * index, 2 * index + 1))
                inner = build.op("mul", self.leaky.lower(build, h), scale)
                inner = dilated.lower(build, build.op("add", inner, shift))  # type: ignore[operator]
                with build.scope("onward"):
                    on = onward.lower(build, self.leaky.lower(build, inner))  # type: ignore[operator]
                h = build.op("add", h, on)
        return h
