"""Scales of frequency, and bands along them: what turns a spectrum's bins into fewer numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

# Slaney's mel scale (Auditory Toolbox, 1998): straight up to 1 kHz, then 27 steps for a factor 6.4.
MEL_BREAK_HZ = 1000.0
MELS_PER_HZ = 3 / 200
MELS_PER_NEPER = 27 / np.log(6.4)
LOWEST_HZ = 32.7  # C1: where a scale by octaves begins, as constant-Q transforms do


def mels_of(hertz: NDArray[np.float64]) -> NDArray[np.float64]:
    """Places on the mel scale."""
    above = np.log(np.maximum(hertz, MEL_BREAK_HZ) / MEL_BREAK_HZ)
    return np.minimum(hertz, MEL_BREAK_HZ) * MELS_PER_HZ + above * MELS_PER_NEPER


def hertz_of(mels: NDArray[np.float64]) -> NDArray[np.float64]:
    """The frequencies there."""
    corner = MEL_BREAK_HZ * MELS_PER_HZ
    above = np.maximum(mels, corner) - corner
    return np.minimum(mels, corner) / MELS_PER_HZ * np.exp(above / MELS_PER_NEPER)


def centres_hz(scale: str, bands: int, rate_hz: int) -> NDArray[np.float64]:
    """Of bands along a scale, `mel` from 0 or `log` (equal parts of an octave, as in a constant-Q
    transform: Brown 1991) from `LOWEST_HZ`, to the Nyquist frequency; both ends left out."""
    top = rate_hz / 2
    if scale == "mel":
        return hertz_of(np.linspace(0.0, float(mels_of(np.array(top))), bands + 2))[1:-1]
    return np.geomspace(min(LOWEST_HZ, top / 2), top, bands + 2)[1:-1]


def band_weights(scale: str, bands: int, window_samples: int, rate_hz: int) -> NDArray[Any]:
    """Triangles from each band's neighbour to its neighbour, at least a bin to each side, so that
    none is empty; each sums to 1: float32 [bands, bins]."""
    width = rate_hz / window_samples
    bins = np.arange(window_samples // 2 + 1) * width
    centres = centres_hz(scale, bands, rate_hz)
    ends = np.concatenate(([0.0], centres, [rate_hz / 2]))
    below = np.maximum(centres - ends[:-2], width)[:, None]
    above = np.maximum(ends[2:] - centres, width)[:, None]
    away = bins - centres[:, None]
    shape = np.maximum(0.0, 1 - np.where(away < 0, -away / below, away / above))
    return (shape / shape.sum(axis=1, keepdims=True)).astype(np.float32)
