"""Attributes as rows: a network that hears what the player sets, not only what is played."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from engine.layers.base import Attributes, State, Streaming, call
from engine.layers.combine import Composite, Sequence
from engine.layers.conv import Conv1d
from engine.layers.pointwise import Tanh

if TYPE_CHECKING:
    from engine.graph import Builder, Value


class Control(Streaming):
    """The `size` numbers of an attribute as channels, a row for each frame of the input, whose
    numbers are not looked at: it says how many rows there are.

    Each row counts as depending on the frame that it stands for. So an attribute that was set
    between two blocks holds from the first frame of the next one, and beside layers that look
    ahead (`Parallel`) it is as late as they are: it meets the sound that was played when it was
    set."""

    def __init__(self, in_channels: int, attribute: str, size: int = 1) -> None:
        super().__init__(in_channels, size)
        self.attribute = attribute

    @property
    def uses(self) -> tuple[str, ...]:
        return (self.attribute,)

    def forward(  # type: ignore[override]
        self, x: Tensor, state: State, attributes: Attributes
    ) -> tuple[Tensor, State]:
        values = attributes[self.attribute]  # [size], or [batch, size]
        if not torch.jit.is_tracing() and values.shape[-1] != self.out_channels:
            raise ValueError(f"Control: the attribute {self.attribute!r} has {values.shape[-1]} "
                             f"numbers, the layer was made for {self.out_channels}")
        return values.unsqueeze(-1).expand(x.shape[0], -1, x.shape[2]), state

    def lower(self, build: Builder, x: Value) -> Value:
        return build.op("control", x, channels=self.out_channels,
                        attributes={"attribute": self.attribute})


class Film(Composite):
    """scale * x + bias per channel, both from a small network over an attribute (feature-wise
    linear modulation, Perez et al. 2018). `width`: of its hidden layer; 0: it has none.

        attribute --> [conv 1x1, tanh] --> conv 1x1 --> scale | bias

    It begins close to passing x on. The network runs for every frame of x: where frames are few it
    costs next to nothing."""

    def __init__(self, channels: int, attribute: str, size: int = 1, width: int = 0) -> None:
        super().__init__(channels, channels)
        hidden = (Conv1d(size, width, 1), Tanh(width)) if width else ()
        last = Conv1d(width or size, 2 * channels, 1)
        nn.init.uniform_(last.weight, -0.01, 0.01)
        assert last.bias is not None
        nn.init.constant_(last.bias[:channels], 1.0)
        nn.init.zeros_(last.bias[channels:])
        self.net = Sequence(Control(channels, attribute, size), *hidden, last)

    def __iter__(self) -> Iterator[Streaming]:
        yield self.net

    def macs_per_frame(self) -> float:
        return self.net.macs_per_frame()

    def forward(
        self, x: Tensor, state: State, attributes: Attributes | None = None
    ) -> tuple[Tensor, State]:
        both, state = call(self.net, x, state, attributes)
        scale, bias = both.chunk(2, dim=1)
        return x * scale + bias, state

    def lower(self, build: Builder, x: Value) -> Value:
        with build.scope("net"):
            both = self.net.lower(build, x)
        count = self.out_channels
        scale, bias = (build.op("slice", both, channels=count,
                                attributes={"start": start, "stop": start + count})
                       for start in (0, count))
        return build.op("add", build.op("mul", x, scale), bias)
