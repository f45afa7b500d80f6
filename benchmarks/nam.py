"""The standard WaveNet of Neural Amp Modeler ("A1 standard"), as a streaming layer.

    audio -> 1x1 to 16 channels -> 10 layers, dilations 1 ... 512 ---> 1x1 to 8 -> 10 layers
                                    |  |  |   summed activations      |   |  |   summed activations
                                    +--+--+--> 1x1 to 8 channels -----+---+--+--> 1x1 -> gain

Each layer: z = tanh(conv(x) + mixin(audio)), x + conv1x1(z) to the next, z to the sum. Shapes only,
random weights: 13,802 numbers as published.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from engine.layers import Conv1d, State, Streaming
from engine.layers.base import Shape

if TYPE_CHECKING:
    from engine.graph import Builder, Value

DILATIONS = tuple(2**i for i in range(10))
CHANNELS = (16, 8)
KERNEL = 3
HEAD_GAIN = 0.02


class _Array(nn.Module):
    """Ten dilated layers of one width, between two 1x1 convolutions."""

    def __init__(self, in_channels: int, channels: int, head: int, head_bias: bool) -> None:
        super().__init__()
        self.rechannel = Conv1d(in_channels, channels, 1, bias=False)
        self.dilated = nn.ModuleList(Conv1d(channels, channels, KERNEL, dilation=d)
                                     for d in DILATIONS)
        self.mixin = nn.ModuleList(Conv1d(1, channels, 1, bias=False) for _ in DILATIONS)
        self.onward = nn.ModuleList(Conv1d(channels, channels, 1) for _ in DILATIONS)
        self.head = Conv1d(channels, head, 1, bias=head_bias)

    def rows(self) -> list[tuple[Conv1d, Conv1d, Conv1d]]:
        """The layers: dilated convolution, mixin of the audio, 1x1 to the next."""
        return list(zip(self.dilated, self.mixin, self.onward, strict=True))  # type: ignore[arg-type]


class NamWaveNet(Streaming):
    """[1, time] -> [1, time] at audio rate, causal, without lookahead."""

    def __init__(self) -> None:
        super().__init__(1, 1)
        wide, narrow = CHANNELS
        self.arrays = nn.ModuleList((_Array(1, wide, narrow, head_bias=False),
                                     _Array(wide, narrow, 1, head_bias=True)))
        self.gain = Conv1d(1, 1, 1, bias=False)
        nn.init.constant_(self.gain.weight, HEAD_GAIN)

    def stack(self) -> list[_Array]:
        """The two arrays, wide first."""
        return list(self.arrays)  # type: ignore[arg-type]

    @property
    def _unused(self) -> Conv1d:
        """The last layer has no successor: its 1x1 is stored, as published, never computed."""
        return self.stack()[-1].rows()[-1][2]

    @property
    def receptive_field(self) -> float:
        return 1 + len(self.arrays) * (KERNEL - 1) * sum(DILATIONS)

    def _computed(self) -> list[Conv1d]:
        unused = self._unused
        return [m for m in self.modules() if isinstance(m, Conv1d) and m is not unused]

    def macs_per_frame(self) -> float:
        return sum(conv.macs_per_frame() for conv in self._computed())

    def state_shapes(self) -> list[Shape]:
        return [shape for array in self.stack() for dilated, _, _ in array.rows()
                for shape in dilated.state_shapes()]

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        audio, unused, caches = x, self._unused, iter(state)
        head: Tensor | None = None
        new: State = ()
        for array in self.stack():
            x = array.rechannel(x, ())[0]  # [batch, channels, time]
            for dilated, mixin, onward in array.rows():
                y, cache = dilated(x, (next(caches),))
                new += cache
                z = torch.tanh(y + mixin(audio, ())[0])
                head = z if head is None else head + z
                if onward is not unused:
                    x = x + onward(z, ())[0]
            head = array.head(head, ())[0]
        assert head is not None
        return self.gain(head, ())[0], new

    def lower(self, build: Builder, x: Value) -> Value:
        audio, unused = x, self._unused
        head: Value | None = None
        for index, array in enumerate(self.stack()):
            with build.scope(f"array{index}"):
                x = array.rechannel.lower(build, x)
                for dilated, mixin, onward in array.rows():
                    y = dilated.lower(build, x)
                    z = build.op("tanh", build.op("add", y, mixin.lower(build, audio)))
                    head = z if head is None else build.op("add", head, z)
                    if onward is not unused:
                        x = build.op("add", x, onward.lower(build, z))
                assert head is not None
                head = array.head.lower(build, head)
        assert head is not None
        return self.gain.lower(build, head)
