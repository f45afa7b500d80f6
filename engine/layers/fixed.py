"""Convolutions with constant weights, and one table for all voices: what is known is not learnt.

An export in fewer bits leaves them in float32.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engine.layers.base import State, Streaming
from engine.layers.conv import Conv1d, ConvTranspose1d
from engine.layers.pointwise import Snake

if TYPE_CHECKING:
    from engine.graph import Builder, Value


class Fixed(Conv1d):
    """A convolution whose weight [out, in, kernel] and bias [out] are constants: neither trained
    nor stored."""

    def __init__(self, weight: Tensor, bias: Tensor | None = None, stride: int = 1) -> None:
        out_channels, in_channels, kernel = weight.shape
        super().__init__(in_channels, out_channels, kernel, stride=stride, bias=bias is not None)
        _hold(self, weight, bias)


class FixedEach(Conv1d):
    """scale * x + bias for each channel by itself, both constants [channels]."""

    def __init__(self, scale: Tensor, bias: Tensor) -> None:
        super().__init__(len(scale), len(scale), 1, groups=len(scale))
        _hold(self, scale[:, None, None], bias)


class Repeat(ConvTranspose1d):
    """Every frame `times` times."""

    def __init__(self, channels: int, times: int) -> None:
        super().__init__(channels, channels, times, times, bias=False)
        _hold(self, torch.eye(channels)[:, :, None].expand(-1, -1, times), None)


class Shapes(ConvTranspose1d):
    """Every frame as a sum of constant shapes [in_channels, times], a channel saying how much of
    each. `ahead`: by how many frames it stands for what is yet to come, so that it meets sound that
    is as late."""

    def __init__(self, shapes: Tensor, ahead: int = 0) -> None:
        count, times = shapes.shape
        super().__init__(count, 1, times, times, bias=False)
        _hold(self, shapes[:, None], None)
        self._lookahead = ahead * times


class Measured(Conv1d):
    """scale * x + bias for each channel by itself: what was measured, stored and never trained."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, channels, 1, groups=channels)
        del self.weight, self.bias
        self.register_buffer("weight", torch.ones(channels, 1, 1))
        self.register_buffer("bias", torch.zeros(channels))
        self.exact = True

    @torch.no_grad()
    def set(self, scale: Tensor, bias: Tensor) -> None:
        """Both [channels]."""
        assert self.bias is not None
        self.weight.copy_(scale[:, None, None])
        self.bias.copy_(bias)

    def taken_back(self, y: Tensor) -> Tensor:
        """What `y` was made of."""
        assert self.bias is not None
        return (y - self.bias[:, None]) / self.weight[:, 0]


class Unfold(ConvTranspose1d):
    """A row of `times` frames, one behind the other in its channels, as these frames."""

    def __init__(self, channels: int, times: int) -> None:
        super().__init__(channels * times, channels, times, times, bias=False)
        weight = torch.eye(channels).expand(times, -1, -1)  # [frame, in, out]
        each = torch.eye(times)[:, None, None, :] * weight[..., None]  # [frame, in, out, kernel]
        _hold(self, each.reshape(channels * times, channels, times), None)
        self.times = times

    def taken_back(self, y: Tensor) -> Tensor:
        """Frames as rows again."""
        return folded(y, self.times)


def folded(x: Tensor, times: int) -> Tensor:
    """What `Unfold` makes frames of: [batch, channels, frames] -> [batch, channels * times, rows].
    """
    batch, channels, frames = x.shape
    rows = x.reshape(batch, channels, frames // times, times)
    return rows.permute(0, 3, 1, 2).reshape(batch, times * channels, frames // times)


def unfolded(y: Tensor, times: int) -> Tensor:
    """The inverse of `folded`, as `Unfold` gives it."""
    return y.unflatten(1, (times, -1)).permute(0, 2, 3, 1).flatten(2)


class FixedSnake(Snake):
    """x + sin(alpha x)^2 / alpha with one constant alpha: for alpha 1/2, x + 1 - cos(x)."""

    def __init__(self, channels: int, alpha: float = 0.5) -> None:
        super().__init__(channels, alpha)
        value = self.alpha.detach()
        del self.alpha
        self.register_buffer("alpha", value, persistent=False)


def _hold(conv: Conv1d | ConvTranspose1d, weight: Tensor, bias: Tensor | None) -> None:
    """Constants in place of parameters."""
    for name, value in (("weight", weight), ("bias", bias)):
        if value is not None:
            delattr(conv, name)
            conv.register_buffer(name, value.float().contiguous().clone(), persistent=False)
    conv.exact = True


class SharedProjection(Streaming):
    """A 1x1 convolution of `groups` equal groups of `size` channels and `rest` further ones, in
    which the groups have the same weights: what they say is added, whoever says it.

        group 1 | group 2 | ... | rest   -->  W (group 1 + group 2 + ...) + V rest + bias
    """

    def __init__(self, groups: int, size: int, rest: int, out_channels: int) -> None:
        super().__init__(groups * size + rest, out_channels)
        self.groups, self.size = groups, size
        first = Conv1d(size + rest, out_channels, 1)
        self.own = nn.Parameter(first.weight.detach().clone())  # [out, size + rest, 1]
        self.bias = nn.Parameter(torch.zeros(out_channels))

    def weight(self) -> Tensor:
        """[out, groups * size + rest, 1]."""
        group, rest = self.own[:, : self.size], self.own[:, self.size :]
        return torch.cat([*[group] * self.groups, rest], dim=1)

    def macs_per_frame(self) -> float:
        return float(self.in_channels * self.out_channels)

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        return F.conv1d(x, self.weight(), self.bias), state

    def lower(self, build: Builder, x: Value) -> Value:
        return build.op(
            "conv1d", x, channels=self.out_channels,
            attributes={"kernel_size": 1, "stride": 1, "dilation": 1, "groups": 1},
            weights={"weight": self.weight(), "bias": self.bias},
            macs_per_frame=self.macs_per_frame())
