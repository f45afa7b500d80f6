"""How loud the bands of a sound are, a row for each frame of latents: what a listener follows of a
loop, where latents also hold how waves lie."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]
BANDS = 8
LOWEST_HZ = 50.0
WINDOW_SECONDS = 0.032
FLOOR_DB = -80.0


def band_levels(sound: FloatArray, rate_hz: int, hop: int) -> FloatArray:
    """Levels in dB [BANDS, frames] of a mono sound [samples], of a window about the middle of each
    `hop` samples; bands are equally wide in octaves, from `LOWEST_HZ` to half the rate."""
    size = 1 << round(math.log2(WINDOW_SECONDS * rate_hz))
    frames = len(sound) // hop
    lead = max(0, size // 2 - hop // 2)
    padded = np.pad(sound, (lead, size))
    spectrum = torch.stft(torch.from_numpy(padded), size, hop, window=torch.hann_window(size),
                          center=False, return_complex=True)[:, :frames]
    power = spectrum.abs().square().numpy() / size
    edges = np.geomspace(LOWEST_HZ, rate_hz / 2, BANDS + 1) * size / rate_hz
    first = np.maximum(1, np.round(edges[:-1]).astype(int))
    last = np.maximum(first + 1, np.round(edges[1:]).astype(int))
    levels = np.stack([power[a:b].sum(axis=0) for a, b in zip(first, last, strict=True)])
    return np.asarray(10 * np.log10(levels + 10 ** (FLOOR_DB / 10)), np.float32)
