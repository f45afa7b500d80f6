"""Spectra that measures share: frames under a Hann window, mel bands.

All of it is numpy: nothing is compiled on first use and nothing kept on disk, so any number of
processes may begin at once.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.hearing.frames import framed
from engine.hearing.scales import hertz_of, mels_of

FloatArray = NDArray[np.float32]

FRAMES_AT_ONCE = 64  # what fits a processor's cache


def magnitudes(audio: NDArray[Any], window_samples: int, hop_samples: int) -> FloatArray:
    """Magnitudes of the short-time spectrum under a periodic Hann window, frame n centred at
    n * `hop_samples`, zeros beyond the ends: [..., samples] -> [..., bins, frames]."""
    frames = framed(np.asarray(audio, np.float32), window_samples, hop_samples)
    window = hann(window_samples)
    found = np.empty((*frames.shape[:-1], window_samples // 2 + 1), np.float32)
    for first in range(0, frames.shape[-2], FRAMES_AT_ONCE):
        part = (..., slice(first, first + FRAMES_AT_ONCE), slice(None))
        found[part] = np.abs(np.fft.rfft(frames[part] * window))
    return found.swapaxes(-1, -2)


@lru_cache(maxsize=8)
def hann(size: int) -> NDArray[np.float64]:
    """The window whose copies half a window apart add up to one. Float64, so that the transform is
    too: in float32 its rounding fills the valleys of quiet bands."""
    return 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)


def bins_hz(window_samples: int, rate_hz: int) -> NDArray[np.float64]:
    """Frequencies of a spectrum's bins."""
    return np.arange(window_samples // 2 + 1, dtype=np.float64) * (rate_hz / window_samples)


def mel_power(audio: NDArray[Any], rate_hz: int, window_samples: int, hop_samples: int,
              bands: int) -> FloatArray:
    """Power in mel bands from 0 Hz to the Nyquist frequency: [..., bands, frames]."""
    power = np.square(magnitudes(audio, window_samples, hop_samples))
    return mel_bands(window_samples, rate_hz, bands) @ power


@lru_cache(maxsize=8)
def mel_bands(window_samples: int, rate_hz: int, bands: int) -> FloatArray:
    """Triangles over each mel band and half of its neighbours, of area 1 over hertz:
    [bands, bins]."""
    top = mels_of(np.array(rate_hz / 2))
    edges = hertz_of(np.linspace(0.0, float(top), bands + 2))
    bins = bins_hz(window_samples, rate_hz)
    below, centre, above = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    rising, falling = (bins - below) / (centre - below), (above - bins) / (above - centre)
    shape = np.maximum(0.0, np.minimum(rising, falling)) * (2.0 / (above - below))
    return shape.astype(np.float32)


def decibels(power: NDArray[Any], floor: float, range_db: float | None = None) -> NDArray[Any]:
    """10 log10 with a floor, and none of it more than `range_db` below the highest."""
    found = 10 * np.log10(np.maximum(power, floor))
    return found if range_db is None else np.maximum(found, found.max() - range_db)
