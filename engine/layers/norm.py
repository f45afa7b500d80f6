"""Normalisation over channels: each frame by itself, so nothing is carried and nothing is late."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from engine.layers.base import State, Streaming

if TYPE_CHECKING:
    from engine.graph import Builder, Value

EPSILON = 1e-5


class _Norm(Streaming):
    """x / sqrt(mean of x^2 + epsilon) * weight (+ bias), the mean over the channels of a frame."""

    centre = False

    def __init__(self, channels: int, epsilon: float = EPSILON) -> None:
        super().__init__(channels, channels)
        if not 2.0**-60 <= epsilon <= 1e6:
            raise ValueError(
                f"{type(self).__name__}: epsilon must lie in 2^-60 ... 1e6, got {epsilon}")
        self.epsilon = epsilon
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias: nn.Parameter | None = None

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        if self.centre:
            x = x + -x.mean(dim=1, keepdim=True)  # not `-`: see export/nn/operators.py
        size = torch.sqrt(x.square().mean(dim=1, keepdim=True) + self.epsilon)
        y = x / size * self.weight[:, None]  # [batch, channels, time]
        return (y if self.bias is None else y + self.bias[:, None]), state

    def lower(self, build: Builder, x: Value) -> Value:
        return build.op("norm", x, attributes={"epsilon": self.epsilon, "centre": self.centre},
                        weights={"weight": self.weight, "bias": self.bias})


class RMSNorm(_Norm):
    """Divided by the root of the mean square (Zhang and Sennrich 2019)."""


class LayerNorm(_Norm):
    """The mean taken away, divided by the standard deviation (Ba et al. 2016)."""

    centre = True

    def __init__(self, channels: int, epsilon: float = EPSILON) -> None:
        super().__init__(channels, epsilon)
        self.bias = nn.Parameter(torch.zeros(channels))
