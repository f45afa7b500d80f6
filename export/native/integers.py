"""Weights of one convolution as whole numbers, and the proof that their sums fit into 32 bits.

    sum = bias + sum over k of x[k] * q[k]        x: int16, q: int8, sum: int32
    real value = step * sum                       step: one float32 per output

Rounding is done one input after the other: what an output's weight loses, the weights still to be
rounded take over as far as the inputs are correlated (Frantar et al. 2023, GPTQ; here with all of
the inputs' second moments, since layers are small).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.quantise import LIMIT, int8_scale
from export.native.nodes import FloatArray, Integers

INT32_MAX = 2**31 - 1
X_LARGEST = 32768
WIDE_LIMIT = 127 * 256  # of a weight in two planes: 256 * high + low
DAMPING = 0.01  # of the mean power, added to every input's: rounding must not trust noise
MOST_SHRINKS, LEAST_SHRINK = 50, 1.02
WIDE_ROOM = 8.0  # steps so much coarser are not worth two planes


@dataclass(frozen=True)
class Rounded:
    """Weights of a run, how many outputs had to take a coarser step so that the sum fits, and
    whether even that was not enough."""

    integers: Integers
    shrunk: int
    fits: bool


def to_integers(weight: FloatArray, bias: FloatArray | None, input_scale: FloatArray,
                moments: Tensor, wide: bool = False) -> Rounded:
    """`weight` [inputs, outputs] as int8 (`wide`: as two int8 planes).

    `input_scale` [inputs]: real value of one unit of each input; `moments` [inputs, inputs]: mean
    products of the inputs as whole numbers."""
    rows = torch.as_tensor(weight.T.astype(np.float64) * input_scale)  # [outputs, inputs]
    start = torch.zeros(len(rows), dtype=torch.float64)
    if bias is not None:
        start = torch.as_tensor(bias.astype(np.float64))
    if wide:
        step = (rows.abs().amax(dim=1) / WIDE_LIMIT).clamp_min(2.0**-60)
    else:
        step = int8_scale(rows, moments.diagonal().clamp_min(1e-9))
    limit = WIDE_LIMIT if wide else LIMIT
    shrunk = torch.zeros(len(rows), dtype=torch.bool)
    finest, factor = step, _factor(moments)
    for _ in range(MOST_SHRINKS):
        step = step.float().double()  # what the file holds
        levels = _round(rows, step, factor, limit)
        whole_bias = (start / step).round()
        excess = _largest_sum(levels, whole_bias, wide) / INT32_MAX
        over = excess > 1
        if not over.any() or (wide and bool((step > WIDE_ROOM * finest).any())):
            break
        shrunk |= over
        step = torch.where(over, step * excess.clamp_min(LEAST_SHRINK), step)
    planes = _planes(levels) if wide else (levels,)
    fits = not bool(over.any())
    return Rounded(Integers(
        tuple(np.ascontiguousarray(p.T.numpy().astype(np.int8)) for p in planes),
        step.numpy().astype(np.float32),
        (whole_bias if fits else whole_bias * 0).numpy().astype(np.int32)), int(shrunk.sum()), fits)


def with_bias(integers: Integers, change: NDArray[np.float64]) -> Integers:
    """The same weights with `change` [outputs], in real units, added to the bias if it fits."""
    bias = integers.bias + np.round(change / integers.step.astype(np.float64))
    planes = [torch.as_tensor(p.T.astype(np.float64)) for p in integers.planes]
    over = _sum(planes[0], torch.as_tensor(bias)).numpy() > INT32_MAX
    return Integers(integers.planes, integers.step,
                    np.where(over, integers.bias, bias).astype(np.int32))


def _factor(moments: Tensor) -> tuple[Tensor, Tensor] | None:
    """In which order to round, the loudest input first, for all others can make up for it; and the
    triangular factor of the inverse moments, which says how. None: there is nothing to share."""
    count, mean = len(moments), float(moments.diagonal().mean())
    if count == 1 or mean == 0:
        return None
    order = moments.diagonal().argsort(descending=True)
    damped = moments[order][:, order] + DAMPING * mean * torch.eye(count, dtype=torch.float64)
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(damped))
    return order, torch.linalg.cholesky(inverse, upper=True)


def _round(rows: Tensor, step: Tensor, factor: tuple[Tensor, Tensor] | None, limit: int) -> Tensor:
    """Whole numbers [outputs, inputs], later inputs making up for the errors of earlier ones."""
    if factor is None:
        return (rows / step[:, None]).round().clamp(-limit, limit)
    order, upper = factor
    left = rows[:, order].clone()
    levels = torch.zeros_like(left)
    for k in range(len(order)):
        levels[:, k] = (left[:, k] / step).round().clamp(-limit, limit)
        error = (left[:, k] - levels[:, k] * step) / upper[k, k]
        left[:, k + 1 :] -= error[:, None] * upper[k, k + 1 :]
    return levels[:, order.argsort()]


def _planes(levels: Tensor) -> tuple[Tensor, Tensor]:
    """Low and high parts of 16-bit weights: 256 * high + low, low in -128 ... 127."""
    low = torch.remainder(levels + 128, 256) - 128
    return low, (levels - low) / 256


def _sum(levels: Tensor, bias: Tensor) -> Tensor:
    """Largest magnitude that a sum over these weights [outputs, inputs] can have."""
    return levels.abs().sum(dim=1) * X_LARGEST + bias.abs()


def _largest_sum(levels: Tensor, bias: Tensor, wide: bool) -> Tensor:
    """The same for whole weights; of two planes the larger sum. The bias is in the low one."""
    if not wide:
        return _sum(levels, bias)
    low, high = _planes(levels)
    return torch.maximum(_sum(low, bias), _sum(high, torch.zeros_like(bias)))
