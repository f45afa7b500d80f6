"""The published autoregressive WaveNet (van den Oord et al. 2016; the sizes are those of the public
PyTorch implementation), as a streaming layer that draws from its own output: `ar-wavenet/1`.

    class drawn before -> embedding, 32 -> 3 stacks of layers, dilations 1 ... 512 (30 layers)
                                            |  |  |   each 1x1 to 1024 channels
                                            +--+--+--> sum -> relu -> 512 -> relu -> 256 -> a class

Each layer: z = tanh(a) * sigmoid(b) of a convolution with kernel 2, z to the sum, x + conv1x1(z) to
the next. Shapes only, random weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import Tensor, nn

from engine.description import Attribute
from engine.layers import (
    Categorical,
    Conv1d,
    Embed,
    GatedUnit,
    LeakyReLU,
    Loop,
    Sequence,
    State,
    Streaming,
)
from engine.layers.base import Shape

if TYPE_CHECKING:
    from engine.graph import Builder, Value

RATE_HZ = 16000
ATTRIBUTES = (
    Attribute("temperature", 1, 1.0, 0.0, 4.0, "spread of what is drawn"),
    Attribute("top_p", 1, 1.0, 0.0, 1.0, "share of the likeliest classes"),
    Attribute("seed", 1, 0.0, 0.0, 16777215.0, "another number, another sound"),
)


@dataclass(frozen=True)
class Sizes:
    """Numbers of layers and channels; the published ones unless said otherwise."""

    stacks: int = 3
    layers: int = 10
    residual: int = 32
    skip: int = 1024
    end: int = 512
    classes: int = 256

    @property
    def dilations(self) -> list[int]:
        """One per layer, in order."""
        return [2**i for i in range(self.layers)] * self.stacks


class Stacks(Streaming):
    """[residual, time] -> [skip, time]: the sum of what all layers give."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__(sizes.residual, sizes.skip)
        wide, self.dilations = sizes.residual, sizes.dilations
        self.dilated = nn.ModuleList(Conv1d(wide, 2 * wide, 2, dilation=d, bias=False)
                                     for d in self.dilations)
        # The last layer has no successor.
        self.onward = nn.ModuleList(Conv1d(wide, wide, 1, bias=False) for _ in self.dilations[:-1])
        self.skips = nn.ModuleList(Conv1d(wide, sizes.skip, 1, bias=False) for _ in self.dilations)
        self.gate = GatedUnit(2 * wide)

    @property
    def receptive_field(self) -> float:
        return 1 + sum(self.dilations)

    def macs_per_frame(self) -> float:
        return sum(conv.macs_per_frame() for conv in self.modules() if isinstance(conv, Conv1d))

    def state_shapes(self) -> list[Shape]:
        return [shape for conv in self.dilated for shape in conv.state_shapes()]  # type: ignore[operator]

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        total: Tensor | None = None
        new: State = ()
        for index, (dilated, skip) in enumerate(zip(self.dilated, self.skips, strict=True)):
            y, cache = dilated(x, (state[index],))
            new += cache
            z = self.gate(y, ())[0]
            part = skip(z, ())[0]
            total = part if total is None else total + part
            if index < len(self.onward):
                x = x + self.onward[index](z, ())[0]
        assert total is not None
        return total, new

    def lower(self, build: Builder, x: Value) -> Value:
        total: Value | None = None
        for index, (dilated, skip) in enumerate(zip(self.dilated, self.skips, strict=True)):
            with build.scope(f"layer{index}"):
                z = self.gate.lower(build, dilated.lower(build, x))  # type: ignore[operator]
                part = skip.lower(build, z)  # type: ignore[operator]
                total = part if total is None else build.op("add", total, part)
                if index < len(self.onward):
                    x = build.op("add", x, self.onward[index].lower(build, z))  # type: ignore[operator]
        assert total is not None
        return total


def wavenet(sizes: Sizes | None = None) -> Loop:
    """From how long to go on (one channel that is not read) to the classes that are drawn."""
    s = sizes or Sizes()
    net = Sequence(
        Embed(s.classes, s.residual), Stacks(s),
        LeakyReLU(s.skip, 0.0), Conv1d(s.skip, s.end, 1),
        LeakyReLU(s.end, 0.0), Conv1d(s.end, s.classes, 1),
    )
    return Loop(net, Categorical(s.classes))
