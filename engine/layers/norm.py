"""Normalisation over the channels of each frame: no statistics over time, so nothing to stream."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from engine.layers.base import State, Streaming

if TYPE_CHECKING:
    from engine.graph import Builder, Value


class RMSNorm(Streaming):
    """x / sqrt(mean of x^2 + epsilon) * gain (Zhang and Sennrich 2019)."""

    centred = False

    def __init__(self, channels: int, epsilon: float = 1e-6) -> None:
        super().__init__(channels, channels)
        if not 0 < epsilon <= 1:
            raise ValueError(f"{type(self).__name__}: epsilon lies between 0 and 1, got {epsilon}")
        self.epsilon = epsilon
        self.gain = nn.Parameter(torch.ones(channels))

    def _bias(self) -> Tensor | None:
        return None

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        if self.centred:
            x = x - x.mean(dim=1, keepdim=True)
        y = x / torch.sqrt(x.square().mean(dim=1, keepdim=True) + self.epsilon)
        y = y * self.gain[:, None]
        bias = self._bias()
        return (y if bias is None else y + bias[:, None]), state

    def lower(self, build: Builder, x: Value) -> Value:
        return build.op("norm", x, attributes={"epsilon": self.epsilon, "centred": self.centred},
                        weights={"gain": self.gain, "bias": self._bias()})


class LayerNorm(RMSNorm):
    """The same of x less its mean over the channels, with a bias (Ba et al. 2016)."""

    centred = True

    def __init__(self, channels: int, epsilon: float = 1e-5) -> None:
        super().__init__(channels, epsilon)
        self.bias = nn.Parameter(torch.zeros(channels))

    def _bias(self) -> Tensor | None:
        return self.bias
