"""Layers without memory: one output frame from one input frame."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engine.layers.base import State, Streaming

if TYPE_CHECKING:
    from engine.graph import Builder, Value

INPUT_LIMIT = 8.0  # +18 dBFS: more than any converter delivers, far below float trouble


class Pointwise(Streaming):
    """A function applied to every number; subclasses name the op and give `function`."""

    op = ""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, channels)

    def function(self, x: Tensor) -> Tensor:
        raise NotImplementedError

    def attributes(self) -> dict[str, int | float | str]:
        return {}

    def weights(self) -> dict[str, Tensor | None]:
        return {}

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        return self.function(x), state

    def lower(self, build: Builder, x: Value) -> Value:
        return build.op(self.op, x, attributes=self.attributes(), weights=self.weights())


class Guard(Pointwise):
    """First layer of every method: non-finite input becomes 0, magnitude is clamped to 8."""

    op = "guard"

    def function(self, x: Tensor) -> Tensor:
        # NaN compares false and infinity is larger than any float32, so one test finds both.
        finite = x.abs() <= torch.finfo(torch.float32).max
        return torch.where(finite, x, torch.zeros_like(x)).clamp(-INPUT_LIMIT, INPUT_LIMIT)


class LeakyReLU(Pointwise):
    """x for x > 0, slope * x otherwise."""

    op = "leaky_relu"

    def __init__(self, channels: int, slope: float = 0.2) -> None:
        super().__init__(channels)
        self.slope = slope

    def function(self, x: Tensor) -> Tensor:
        return F.leaky_relu(x, self.slope)

    def attributes(self) -> dict[str, int | float | str]:
        return {"slope": self.slope}


class ELU(Pointwise):
    """x for x > 0, exp(x) - 1 otherwise (Clevert et al. 2016)."""

    op = "elu"

    def function(self, x: Tensor) -> Tensor:
        return F.elu(x)


class Tanh(Pointwise):
    op = "tanh"

    def function(self, x: Tensor) -> Tensor:
        return torch.tanh(x)


class Sigmoid(Pointwise):
    op = "sigmoid"

    def function(self, x: Tensor) -> Tensor:
        return torch.sigmoid(x)


class Exp(Pointwise):
    """exp(x), and exp(88) beyond: float32 ends soon after."""

    op = "exp"
    LIMIT = 88.0

    def function(self, x: Tensor) -> Tensor:
        return torch.exp(x.clamp(max=self.LIMIT))


class _Floored(Pointwise):
    """A function of max(x, floor)."""

    def __init__(self, channels: int, floor: float) -> None:
        super().__init__(channels)
        if not 2.0**-60 <= floor <= 1e6:  # what is smaller is stored as 0
            raise ValueError(f"{type(self).__name__}: floor must lie in 2^-60 ... 1e6, got {floor}")
        self.floor = floor

    def attributes(self) -> dict[str, int | float | str]:
        return {"floor": self.floor}


class Log(_Floored):
    """Natural logarithm of max(x, floor)."""

    op = "log"

    def __init__(self, channels: int, floor: float = 1e-5) -> None:
        super().__init__(channels, floor)

    def function(self, x: Tensor) -> Tensor:
        return torch.log(x.clamp_min(self.floor))


class Sqrt(_Floored):
    """Square root of max(x, floor): at 0 its slope has no bound."""

    op = "sqrt"

    def __init__(self, channels: int, floor: float = 1e-10) -> None:
        super().__init__(channels, floor)

    def function(self, x: Tensor) -> Tensor:
        return torch.sqrt(x.clamp_min(self.floor))


class Softplus(Pointwise):
    """log(1 + exp(x)): positive, and x itself where x is large (Dugas et al. 2001)."""

    op = "softplus"

    def function(self, x: Tensor) -> Tensor:
        return F.softplus(x)


class Snake(Pointwise):
    """x + sin(alpha x)^2 / alpha, alpha per channel (Ziyin et al. 2020, eq. 3)."""

    op = "snake"

    def __init__(self, channels: int, alpha: float = 1.0) -> None:
        super().__init__(channels)
        self.alpha = nn.Parameter(torch.full((channels,), float(alpha)))

    def _safe_alpha(self) -> Tensor:
        # Training may push alpha through zero, where the formula divides by it.
        return self.alpha.abs().clamp_min(1e-3)

    def function(self, x: Tensor) -> Tensor:
        alpha = self._safe_alpha()[:, None]  # [channels, 1]
        return x + torch.sin(alpha * x).square() / alpha

    def weights(self) -> dict[str, Tensor | None]:
        return {"alpha": self._safe_alpha().detach()}


class GatedUnit(Streaming):
    """activation(a) * sigmoid(b), a and b the two halves of the channels.

    Source: van den Oord et al. 2016 (WaveNet), equation 2. `activation` is "tanh" (WaveNet) or
    "linear" (the gated linear unit of Dauphin et al. 2017)."""

    def __init__(self, in_channels: int, activation: str = "tanh") -> None:
        if in_channels % 2:
            raise ValueError(f"GatedUnit: in_channels must be even, got {in_channels}")
        if activation not in ("tanh", "linear"):
            raise ValueError(f"GatedUnit: activation is 'tanh' or 'linear', got {activation!r}")
        super().__init__(in_channels, in_channels // 2)
        self.activation = activation

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        a, b = x.chunk(2, dim=1)
        if self.activation == "tanh":
            a = torch.tanh(a)
        return a * torch.sigmoid(b), state

    def lower(self, build: Builder, x: Value) -> Value:
        return build.op("gated", x, channels=self.out_channels,
                        attributes={"activation": self.activation})
