"""Layers that choose among channels or scale each by the player's wish."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from engine.layers.base import Attributes, State, Streaming

if TYPE_CHECKING:
    from engine.graph import Builder, Value


class Affine(Streaming):
    """scale * x + bias per channel; both are attributes with a number for each channel."""

    def __init__(self, channels: int, scale: str = "scale", bias: str = "bias") -> None:
        super().__init__(channels, channels)
        self.scale, self.bias = scale, bias

    @property
    def uses(self) -> tuple[str, ...]:
        return (self.scale, self.bias)

    def forward(  # type: ignore[override]
        self, x: Tensor, state: State, attributes: Attributes
    ) -> tuple[Tensor, State]:
        scale, bias = (attributes[name].unsqueeze(-1) for name in self.uses)
        return x * scale + bias, state  # [channels, 1], or [batch, channels, 1]

    def lower(self, build: Builder, x: Value) -> Value:
        return build.op("affine", x, attributes={"scale": self.scale, "bias": self.bias})


class Channels(Streaming):
    """Channels `start` to `stop`, the end not included."""

    def __init__(self, channels: int, start: int, stop: int) -> None:
        if not 0 <= start < stop <= channels:
            raise ValueError(f"Channels: {start} to {stop} are not among {channels} channels")
        super().__init__(channels, stop - start)
        self.start, self.stop = start, stop

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        return x[:, self.start : self.stop], state

    def lower(self, build: Builder, x: Value) -> Value:
        return build.op("slice", x, channels=self.out_channels,
                        attributes={"start": self.start, "stop": self.stop})
