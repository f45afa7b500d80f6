"""The discrete Fourier transform of windows as products of small matrices: every program that plays
a traced model has those, and few have a transform of their own.

With N = rows * columns, n = columns n1 + n2 and k = k1 + rows k2 (Cooley and Tukey 1965):

    X[k] = sum over n2 of  e^(-2 pi i n2 k1 / N)  e^(-2 pi i n2 k2 / columns)
           times the sum over n1 of  e^(-2 pi i n1 k1 / rows) x[n]
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

SIZES = tuple(2**n for n in range(7, 13))
OVERLAPS = (4, 8, 16)  # windows that cover a sample; their squares then add up to the same


def check_window(layer: str, fft: int, hop: int) -> None:
    """Refuse sizes that are not played."""
    if fft not in SIZES:
        raise ValueError(f"{layer}: fft={fft} must be a power of two from {SIZES[0]} to "
                         f"{SIZES[-1]}")
    if hop not in [fft // overlap for overlap in OVERLAPS]:
        choices = ", ".join(str(fft // overlap) for overlap in OVERLAPS)
        raise ValueError(f"{layer}: hop={hop} must be one of {choices} for fft={fft}")


def sines(size: int) -> NDArray[np.float32]:
    """sin(2 pi n / size): all that the C runtime needs for a window of that size."""
    return np.sin(2 * np.pi * np.arange(size) / size).astype(np.float32)


def hann(size: int) -> Tensor:
    """The periodic Hann window, float32."""
    return torch.hann_window(size, dtype=torch.float64).to(torch.float32)


def transform_macs(size: int) -> float:
    """Of a window, either way, as the C runtime does it."""
    return 2.5 * size * float(np.log2(size))


def _angles(rows: int, columns: int, turn: int) -> NDArray[np.float64]:
    return 2 * np.pi * np.outer(np.arange(rows), np.arange(columns)) / turn


def split(size: int) -> tuple[int, int]:
    """Rows and columns of a window."""
    columns = 2 ** (int(np.log2(size)) // 2)
    return size // columns, columns


def matrices(size: int) -> dict[str, NDArray[np.float32]]:
    """Cosines and sines of all three steps, and how often a bin stands for two."""
    rows, columns = split(size)
    angles = {"row": _angles(rows, rows, rows), "between": _angles(rows, columns, size),
              "column": _angles(columns, columns, columns)}
    found = {f"{name}_{part}": of(angle) for name, angle in angles.items()
             for part, of in (("cos", np.cos), ("sin", np.sin))}
    twice = np.full(size // 2 + 1, 2.0)
    twice[[0, -1]] = 1.0
    return {name: value.astype(np.float32) for name, value in (*found.items(), ("twice", twice))}


class Transform(nn.Module):
    """Of real windows of `size` samples to their size / 2 + 1 bins, and back."""

    row_cos: Tensor
    row_sin: Tensor
    between_cos: Tensor
    between_sin: Tensor
    column_cos: Tensor
    column_sin: Tensor
    twice: Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size, self.shape = size, split(size)
        for name, value in matrices(size).items():
            self.register_buffer(name, torch.from_numpy(value), persistent=False)

    def bins(self, windows: Tensor) -> tuple[Tensor, Tensor]:
        """[..., size] -> real and imaginary parts [..., size / 2 + 1]."""
        x, kind = windows.unflatten(-1, self.shape), windows.dtype
        re = torch.matmul(self.row_cos.to(kind), x)
        im = torch.matmul(-self.row_sin.to(kind), x)
        re, im = self._turned(re, im, -1.0)
        cos, sin = self.column_cos.to(kind), self.column_sin.to(kind)
        parts = (torch.matmul(re, cos) + torch.matmul(im, sin),
                 torch.matmul(im, cos) - torch.matmul(re, sin))
        re, im = (part.transpose(-1, -2).flatten(-2)[..., : self.size // 2 + 1] for part in parts)
        return re, im

    def windows(self, re: Tensor, im: Tensor) -> Tensor:
        """[..., size / 2 + 1] -> [..., size]: the sum over all bins, and those that mirror them, of
        each times e^(2 pi i n k / size)."""
        rows, columns = self.shape
        kind, used = re.dtype, rows // 2 + 1  # rows that hold any bin
        twice = self.twice.to(kind)
        re, im = (F.pad(part * twice, (0, columns - 1)).unflatten(-1, (used, columns))
                  for part in (re, im))
        cos, sin = self.row_cos[:, :used].to(kind), self.row_sin[:, :used].to(kind)
        re, im = (torch.matmul(cos, re) - torch.matmul(sin, im),
                  torch.matmul(cos, im) + torch.matmul(sin, re))
        re, im = self._turned(re, im, 1.0)
        y = torch.matmul(re, self.column_cos.to(kind)) - torch.matmul(im, self.column_sin.to(kind))
        return y.transpose(-1, -2).flatten(-2)

    def _turned(self, re: Tensor, im: Tensor, way: float) -> tuple[Tensor, Tensor]:
        cos, sin = self.between_cos.to(re.dtype), self.between_sin.to(re.dtype) * way
        return re * cos - im * sin, re * sin + im * cos
