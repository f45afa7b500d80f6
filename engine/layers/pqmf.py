"""Cosine-modulated filter bank with perfect reconstruction, as two streaming convolutions.

All bands are one low-pass prototype p moved in frequency (Malvar 1992; Vaidyanathan 1993, ch. 8):

    h_k[n] = 2 p[n] cos((2k + 1) pi / 2M (n - (N - 1) / 2) + (-1)^k pi / 4),   k = 0 ... M - 1

Usually p is a windowed sinc and reconstruction is good to about -60 dB. Here the windowed sinc is
only the start: a few Newton steps of least change make p meet the conditions of exact
reconstruction, so analysis followed by synthesis is a pure delay of N - M samples.
"""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.layers.base import Shape, State, Streaming
from engine.layers.conv import Conv1d, ConvTranspose1d

if TYPE_CHECKING:
    from engine.graph import Builder, Value

Array = NDArray[np.float64]
KAISER_BETA = 6.0
TAPS_PER_BAND = 6  # stop band near -45 dB at a delay of 5 M samples


def _windowed_sinc(bands: int, taps: int) -> Array:
    """Kaiser-windowed sinc whose cutoff makes the sum of all bands as flat as it can be."""
    n = np.arange(taps) - (taps - 1) / 2
    window = np.kaiser(taps, KAISER_BETA)

    def ripple(cutoff: float) -> tuple[float, Array]:
        p = np.sinc(n * cutoff / np.pi) * window
        r = np.convolve(p, p[::-1])[taps - 1 :: 2 * bands]
        return float(np.abs(r[1:]).max() / r[0]), p

    cutoffs = np.linspace(0.5, 0.75, 200) * np.pi / bands
    return min((ripple(cutoff) for cutoff in cutoffs), key=lambda pair: pair[0])[1]


def _reconstruction_error(p: Array, bands: int) -> tuple[Array, Array]:
    """How far p is from exact reconstruction, and the Jacobian of that.

    The polyphase parts a = p[k::2M], b = p[k+M::2M] must be power complementary:
    sum_l a[l] a[l+n] + b[l] b[l+n] = delta[n] / 2M for every k and n (Vaidyanathan, 8.3)."""
    length = len(p) // (2 * bands)
    errors, rows = [], []
    for k in range((bands + 1) // 2):
        parts = [np.arange(length) * 2 * bands + k + shift for shift in (0, bands)]
        for n in range(length):
            error = -1 / (2 * bands) if n == 0 else 0.0
            row = np.zeros(len(p))
            for at in parts:
                early, late = at[: length - n], at[n:]
                error += float(p[early] @ p[late])
                row[early] += p[late]
                row[late] += p[early]
            errors.append(error)
            rows.append(row)
    return np.array(errors), np.array(rows)


@lru_cache(maxsize=64)
def _filters(bands: int, taps: int) -> Array:
    """Analysis filters [bands, taps]."""
    p = _windowed_sinc(bands, taps)
    p = p / np.sqrt(2 * np.sum(p * p))
    for _ in range(50):
        errors, jacobian = _reconstruction_error(p, bands)
        if np.abs(errors).max() < 1e-13:
            break
        p = p - np.linalg.lstsq(jacobian, errors, rcond=None)[0]
        p = (p + p[::-1]) / 2
    n = np.arange(taps) - (taps - 1) / 2
    k = np.arange(bands)[:, None]
    return 2 * p * np.cos((2 * k + 1) * np.pi / (2 * bands) * n + (-1.0) ** k * np.pi / 4)


class _FilterBank(Streaming):
    """What both directions share: the filters as a fixed convolution, once per audio channel."""

    def __init__(self, in_channels: int, out_channels: int, bands: int, taps_per_band: int) -> None:
        if not 2 <= bands <= 16:
            raise ValueError(f"PQMF: bands must lie in 2...16, got {bands}")
        if taps_per_band < 4 or taps_per_band % 2:
            raise ValueError(f"PQMF: taps_per_band must be even and >= 4, got {taps_per_band}")
        super().__init__(in_channels, out_channels)
        self.bands, self.taps = bands, bands * taps_per_band
        self.conv: Conv1d | ConvTranspose1d

    def _fix(self, conv: Conv1d | ConvTranspose1d, weight: Array) -> None:
        """Put `weight` in place as a constant: it is not trained and not stored."""
        repeats = -(-conv.weight.shape[0] // weight.shape[0])
        del conv.weight
        value = torch.tensor(np.tile(weight, (repeats, 1, 1)), dtype=torch.float32)
        conv.register_buffer("weight", value, persistent=False)
        self.conv = conv

    def macs_per_frame(self) -> float:
        return self.conv.macs_per_frame()

    def state_shapes(self) -> list[Shape]:
        return self.conv.state_shapes()

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        return self.conv(x, state)

    def lower(self, build: Builder, x: Value) -> Value:
        return self.conv.lower(build, x)

    @property
    def ratio(self) -> Fraction:
        return self.conv.ratio

    @property
    def lookahead(self) -> Fraction:
        return self.conv.lookahead

    @property
    def receptive_field(self) -> float:
        return self.conv.receptive_field

    def oldest(self, frame: int) -> float:
        return self.conv.oldest(frame)


class PQMFAnalysis(_FilterBank):
    """[channels, time] -> [channels * bands, time / bands]; lookahead (N - M) / 2 samples."""

    def __init__(self, bands: int, channels: int = 1, taps_per_band: int = TAPS_PER_BAND) -> None:
        super().__init__(channels, channels * bands, bands, taps_per_band)
        conv = Conv1d(channels, channels * bands, self.taps, stride=bands, groups=channels,
                      bias=False, lookahead=(self.taps - bands) // 2)
        # A filter's first tap meets its newest sample in a convolution sum, so it stands reversed.
        self._fix(conv, _filters(bands, self.taps)[:, None, ::-1])


class PQMFSynthesis(_FilterBank):
    """[channels * bands, time] -> [channels, time * bands]; adds the other half of the delay."""

    def __init__(self, bands: int, channels: int = 1, taps_per_band: int = TAPS_PER_BAND) -> None:
        super().__init__(channels * bands, channels, bands, taps_per_band)
        total = self.taps - bands
        conv = ConvTranspose1d(channels * bands, channels, self.taps, stride=bands,
                               groups=channels, bias=False, lookahead=total - total // 2)
        self._fix(conv, _filters(bands, self.taps)[:, None, ::-1])
