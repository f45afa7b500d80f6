"""The activations of the C runtime in PyTorch, bit for bit: fused multiply-adds are emulated.

Written from the definitions in engine/core/vmath.inc, used as an independent reference."""

from __future__ import annotations

import torch
from torch import Tensor


def fma(a: Tensor, b: Tensor, c: Tensor) -> Tensor:
    """a * b + c with one rounding to float32.

    The product is exact in float64. Its sum with c is rounded to odd (Boldo and Melquiond 2008),
    so that the second rounding, to float32, is as if it were the only one."""
    p, c = a.double() * b.double(), c.double()
    s = p + c
    back = s - p
    error = (p - (s - back)) + (c - back)
    even = (s.view(torch.int64) & 1) == 0
    towards = torch.where(error > 0, torch.inf, -torch.inf).double()
    odd = torch.nextafter(s, towards)
    return torch.where((error != 0) & even, odd, s).float()


def k(value: float | str) -> Tensor:
    number = float.fromhex(value) if isinstance(value, str) else value
    return torch.tensor(number, dtype=torch.float32)


ROUND = k("0x1.8p23")


def exp_parts(x: Tensor) -> tuple[Tensor, Tensor]:
    x = x.clamp(-87.0, 88.0)
    n = fma(x, k(1.44269504), ROUND) - ROUND
    r = fma(n, k(-0.693359375), x)
    r = fma(n, k(0.00021219444), r)
    q = fma(k(0.00138145379), r, k(0.00836874532))
    for c in (0.0416683908, 0.166665204, 0.499999934):
        q = fma(q, r, k(c))
    bits = (n + (ROUND + 127)).view(torch.int32)
    return fma(r * r, q, r), (bits << 23).view(torch.float32)


def artanh2(s: Tensor) -> Tensor:
    z = s * s
    p = fma(k(0.28018748), z, k(0.280005422))
    p = fma(p, z, k(0.40021597))
    p = fma(p, z, k(0.666664152))
    return fma(s * z, p, s + s)


class Exact:
    """As `export.native.simulate.Maths`, with the runtime's bits. Float32 in and out."""

    fma = staticmethod(fma)

    @staticmethod
    def exp(x: Tensor) -> Tensor:
        e, power = exp_parts(x)
        return fma(power, e, power)

    @staticmethod
    def elu(x: Tensor, slope: float) -> Tensor:
        e, power = exp_parts(x.clamp_max(0))
        return torch.where(x > 0, x, k(slope) * fma(power, e, power - 1))

    @staticmethod
    def tanh(x: Tensor) -> Tensor:
        x = x.clamp(-8.5, 8.5)
        z = x * x
        p = fma(k(1.42690140e-08), z, k(2.12511585e-05))
        q = fma(k(8.14518689e-07), z, k(3.34887637e-04))
        for a, b in ((3.53403404e-03, 2.60227790e-02), (1.34132531e-01, 4.67465758e-01),
                     (9.99999988e-01, 1.0)):
            p, q = fma(p, z, k(a)), fma(q, z, k(b))
        return x * p / q

    @classmethod
    def sigmoid(cls, x: Tensor) -> Tensor:
        return fma(cls.tanh(x * 0.5), k(0.5), k(0.5))

    @staticmethod
    def sqrt(x: Tensor) -> Tensor:
        return x.double().sqrt().float()  # PyTorch's own in float32 is not always the nearest

    @staticmethod
    def log(x: Tensor, floor: float) -> Tensor:
        bits = x.maximum(k(floor)).view(torch.int32)
        e = (bits >> 23).float() - 127
        m = ((bits & 0x7FFFFF) | 0x3F800000).view(torch.float32)
        upper = m > k(1.41421356)
        m, e = torch.where(upper, m * 0.5, m), torch.where(upper, e + 1, e)
        y = artanh2((m - 1) / (m + 1))
        return fma(e, k(0.693359375), fma(e, k(-0.00021219444), y))

    @classmethod
    def softplus(cls, x: Tensor) -> Tensor:
        t = cls.exp(-x.abs())
        return x.clamp_min(0) + artanh2(t / (t + 2))

    @staticmethod
    def snake(x: Tensor, a: Tensor, inverse: Tensor) -> Tensor:
        y = x * a
        n = fma(y, k(0.318309886), ROUND) - ROUND
        r = fma(n, k(-3.140625), y)
        r = fma(n, k(-0.000967502594), r)
        r = fma(n, k(-1.50995803e-07), r).clamp(-1.6, 1.6)
        z = r * r
        s = fma(k(2.60563159e-06), z, k(-0.000198095392))
        s = fma(s, z, k(0.00833306543))
        s = fma(s, z, k(-0.166666595))
        s = fma(r * z, s, r)
        return fma(s * s, inverse, x)
