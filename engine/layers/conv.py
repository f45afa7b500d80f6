"""Causal convolutions that carry their past as state."""

from __future__ import annotations

from fractions import Fraction
from math import ceil, sqrt
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engine.layers.base import Shape, State, Streaming

if TYPE_CHECKING:
    from engine.graph import Builder, Value


def _check(owner: str, lowest: int, **values: int) -> None:
    for name, value in values.items():
        if not isinstance(value, int) or value < lowest:
            raise ValueError(f"{owner}: {name} must be a whole number >= {lowest}, got {value!r}")


def _check_groups(owner: str, groups: int, in_channels: int, out_channels: int) -> None:
    if in_channels % groups or out_channels % groups:
        raise ValueError(
            f"{owner}: groups={groups} must divide in_channels={in_channels} "
            f"and out_channels={out_channels}"
        )


class Conv1d(Streaming):
    """Strided, dilated, grouped convolution; the window ends at the newest sample.

        kernel 3, dilation 2, stride 1                 kernel 4, stride 2
        ... a . b . [c]   -> y at c                    ... a b [c d]  -> one frame for c d

    The cache holds the `(kernel - 1) * dilation + 1 - stride` frames before the block. When that
    is negative (kernel shorter than stride) the oldest frames of each group are not looked at.

    `exact`: no export may round its weights, nor the rows it reads and writes.

    `lookahead` (0 ... (kernel - 1) * dilation, in input frames) does not change the arithmetic: it
    declares which tap counts as "now", so that the delay is known and parallel branches align.
    """

    exact = False

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        dilation: int = 1,
        groups: int = 1,
        bias: bool = True,
        lookahead: int = 0,
    ) -> None:
        super().__init__(in_channels, out_channels)
        _check("Conv1d", 1, kernel_size=kernel_size, stride=stride, dilation=dilation,
               groups=groups)
        _check_groups("Conv1d", groups, in_channels, out_channels)
        span = (kernel_size - 1) * dilation
        if not 0 <= lookahead <= span:
            raise ValueError(f"Conv1d: lookahead must lie in 0...{span}, got {lookahead}")
        self.kernel_size, self.stride, self.dilation = kernel_size, stride, dilation
        self.groups = groups
        self._lookahead = lookahead
        self.cache_frames = max(0, span + 1 - stride)
        self._skip_frames = max(0, stride - span - 1)
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels // groups, kernel_size))
        self.bias = nn.Parameter(torch.zeros(out_channels)) if bias else None
        # He et al. 2015 with the gain of a leaky ReLU(0.2): keeps the level through deep stacks.
        fan_in = in_channels // groups * kernel_size
        nn.init.uniform_(self.weight, -sqrt(3 / fan_in), sqrt(3 / fan_in))

    @property
    def ratio(self) -> Fraction:
        return Fraction(self.stride)

    @property
    def lookahead(self) -> Fraction:
        return Fraction(self._lookahead)

    @property
    def receptive_field(self) -> float:
        return (self.kernel_size - 1) * self.dilation + 1

    def macs_per_frame(self) -> float:
        return self.weight.numel() / self.stride

    def state_shapes(self) -> list[Shape]:
        return [(self.in_channels, self.cache_frames)] if self.cache_frames else []

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        if self.cache_frames:
            x = torch.cat((state[0], x), dim=2)  # [batch, in, cache + time]
            state = (x[:, :, -self.cache_frames :],)
        elif self._skip_frames:
            x = x[:, :, self._skip_frames :]
        y = F.conv1d(x, self.weight, self.bias, self.stride, 0, self.dilation, self.groups)
        return y, state

    def lower(self, build: Builder, x: Value) -> Value:
        return build.op(
            "conv1d", x, channels=self.out_channels, ratio=self.ratio,
            attributes={"kernel_size": self.kernel_size, "stride": self.stride,
                        "dilation": self.dilation, "groups": self.groups,
                        **({"exact": True} if self.exact else {})},
            weights={"weight": self.weight, "bias": self.bias},
            state_shapes=self.state_shapes(), macs_per_frame=self.macs_per_frame(),
            lookahead=self.lookahead,
        )


class ConvTranspose1d(Streaming):
    """Transposed convolution with overlapping kernels; complete frames only.

        stride 2, kernel 4:   frame n starts at 2n and rings 4 samples; samples 2n, 2n+1 are
                              complete as soon as frame n has arrived.

    The state is the `ceil(kernel / stride) - 1` past input frames whose tails still ring, so
    a frame's output is one dot product (polyphase form), never a sum carried across calls.
    `lookahead` is declared in *output* frames, as the delay it means there; `exact` as above.
    """

    exact = False

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int,
        groups: int = 1,
        bias: bool = True,
        lookahead: int = 0,
    ) -> None:
        super().__init__(in_channels, out_channels)
        _check("ConvTranspose1d", 1, kernel_size=kernel_size, stride=stride, groups=groups)
        _check_groups("ConvTranspose1d", groups, in_channels, out_channels)
        if kernel_size < stride:
            raise ValueError(
                f"ConvTranspose1d: kernel_size={kernel_size} must be >= stride={stride}, "
                "or some output samples would have no input at all"
            )
        if not 0 <= lookahead < kernel_size:
            raise ValueError(
                f"ConvTranspose1d: lookahead must lie in 0...{kernel_size - 1}, got {lookahead}"
            )
        self.kernel_size, self.stride, self.groups = kernel_size, stride, groups
        self._lookahead = lookahead
        self.cache_frames = ceil(kernel_size / stride) - 1
        self.weight = nn.Parameter(torch.empty(in_channels, out_channels // groups, kernel_size))
        self.bias = nn.Parameter(torch.zeros(out_channels)) if bias else None
        fan_in = in_channels // groups * kernel_size / stride
        nn.init.uniform_(self.weight, -sqrt(3 / fan_in), sqrt(3 / fan_in))

    @property
    def ratio(self) -> Fraction:
        return Fraction(1, self.stride)

    @property
    def lookahead(self) -> Fraction:
        return Fraction(self._lookahead, self.stride)

    @property
    def receptive_field(self) -> float:
        return self.cache_frames + 1

    def oldest(self, frame: int) -> float:
        return -((self.kernel_size - 1 - frame) // self.stride)

    def macs_per_frame(self) -> float:
        return float(self.weight.numel())

    def state_shapes(self) -> list[Shape]:
        return [(self.in_channels, self.cache_frames)] if self.cache_frames else []

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        if self.cache_frames:
            x = torch.cat((state[0], x), dim=2)  # [batch, in, cache + time]
            state = (x[:, :, -self.cache_frames :],)
        y = F.conv_transpose1d(x, self.weight, self.bias, self.stride, groups=self.groups)
        # Cut what rang before the block and what still lacks its successors:
        #   | cache * stride | time * stride | kernel - stride |
        tail = self.kernel_size - self.stride
        y = y[:, :, self.cache_frames * self.stride :]
        return (y[:, :, :-tail] if tail else y), state

    def lower(self, build: Builder, x: Value) -> Value:
        return build.op(
            "conv_transpose1d", x, channels=self.out_channels, ratio=self.ratio,
            attributes={"kernel_size": self.kernel_size, "stride": self.stride,
                        "groups": self.groups, **({"exact": True} if self.exact else {})},
            weights={"weight": self.weight, "bias": self.bias},
            state_shapes=self.state_shapes(), macs_per_frame=self.macs_per_frame(),
            lookahead=self.lookahead,
        )


class Delay(Streaming):
    """Output is the input, `frames` later; zeros before."""

    def __init__(self, channels: int, frames: int) -> None:
        super().__init__(channels, channels)
        _check("Delay", 0, frames=frames)
        self.frames = frames

    @property
    def lookahead(self) -> Fraction:
        return Fraction(self.frames)

    @property
    def receptive_field(self) -> float:
        return self.frames + 1

    def state_shapes(self) -> list[Shape]:
        return [(self.in_channels, self.frames)] if self.frames else []

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        if not self.frames:
            return x, state
        x = torch.cat((state[0], x), dim=2)  # [batch, channels, frames + time]
        return x[:, :, : -self.frames], (x[:, :, -self.frames :],)

    def lower(self, build: Builder, x: Value) -> Value:
        if not self.frames:
            return x
        return build.op("delay", x, attributes={"frames": self.frames},
                        state_shapes=self.state_shapes(), lookahead=self.lookahead)
