"""The activations that the simulator computes with."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from engine.layers.pointwise import Exp


class Maths:
    """Activations as PyTorch has them. `fma` multiplies and adds; a caller may round it once."""

    tanh = staticmethod(torch.tanh)
    sigmoid = staticmethod(torch.sigmoid)
    softplus = staticmethod(F.softplus)
    sqrt = staticmethod(torch.sqrt)

    @staticmethod
    def exp(x: Tensor) -> Tensor:
        return torch.exp(x.clamp_max(Exp.LIMIT))

    @staticmethod
    def log(x: Tensor, floor: float) -> Tensor:
        return torch.log(x.clamp_min(floor))

    @staticmethod
    def elu(x: Tensor, slope: float) -> Tensor:
        return torch.where(x > 0, x, slope * torch.expm1(x.clamp_max(0)))

    @staticmethod
    def snake(x: Tensor, a: Tensor, inverse: Tensor) -> Tensor:
        return x + torch.sin(x * a).square() * inverse

    @staticmethod
    def fma(a: Tensor, b: Tensor, c: Tensor) -> Tensor:
        return a * b + c
