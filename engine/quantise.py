"""Rounding of weights to 8 bits: the one rule that export and quantisation-aware training share.

A weight w becomes q * scale with whole q in -127 ... 127 and one scale per output. The scale is the
one with the least squared error among `CANDIDATES` shares of the largest magnitude: clipping the
few largest weights a little may serve the many small ones.
"""

from __future__ import annotations

import torch
from torch import Tensor

LIMIT = 127
CANDIDATES = tuple(1 - 0.02 * i for i in range(26))  # 1.00 ... 0.50 of the largest magnitude
SMALLEST = 2.0**-60  # scale of an output whose weights are all zero


def int8_scale(rows: Tensor, importance: Tensor | None = None) -> Tensor:
    """Scale of each output, [outputs]. `rows`: weights [outputs, count]; `importance` [count]: how
    much an error in each weight matters (the power of what it is multiplied with), default all
    alike."""
    largest = rows.abs().amax(dim=1)
    best_scale = (largest / LIMIT).clamp_min(SMALLEST)
    best_error = torch.full_like(largest, torch.inf)
    for share in CANDIDATES:
        scale = (largest * (share / LIMIT)).clamp_min(SMALLEST)
        error = (int8_levels(rows, scale) * scale[:, None] - rows).square()
        if importance is not None:
            error = error * importance
        error = error.sum(dim=1)
        better = error < best_error
        best_scale = torch.where(better, scale, best_scale)
        best_error = torch.where(better, error, best_error)
    return best_scale


def int8_levels(rows: Tensor, scale: Tensor) -> Tensor:
    """Whole numbers -127 ... 127 (as floats) that stand for `rows` [outputs, count]."""
    return (rows / scale[:, None]).round().clamp(-LIMIT, LIMIT)


def rounded(weight: Tensor, output_axis: int = 0) -> Tensor:
    """`weight` as its 8-bit rounding plays it; gradients pass as if it were not rounded."""
    with torch.no_grad():
        rows = weight.detach().movedim(output_axis, 0)
        flat = rows.reshape(rows.shape[0], -1)
        scale = int8_scale(flat)
        played = (int8_levels(flat, scale) * scale[:, None]).reshape(rows.shape)
        change = played.movedim(0, output_axis) - weight.detach()
    return weight + change
