"""When sounds begin: peaks of the spectral flux of a log-mel spectrogram.

Flux and peaks follow Boeck, Krebs and Schedl (ISMIR 2012) with the constants that librosa found for
them by search over annotated music; its onset times are what ours are held to.
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from training.evaluation.spectra import decibels, mel_power

FloatArray = NDArray[np.float32]

SILENT = 1e-4  # amplitude below which nothing begins: the curve is normalised, silence's too
HOP_SECONDS = 0.01
WINDOW = 2048
BANDS = 128
POWER_FLOOR = 1e-10
RANGE_DB = 80.0  # flux below this under the loudest band does not count
BEFORE_PEAK_SECONDS = 0.03  # a peak is the highest of the time before it
AROUND_SECONDS = 0.1  # and stands out from the mean of the time around it
HEIGHT = 0.07  # by so much of the curve's range
WAIT_SECONDS = 0.03  # after a peak


def onsets(audio: FloatArray, rate_hz: int) -> NDArray[np.float64]:
    """Times of onsets in `audio` [channels, samples], mixed down: seconds, ascending."""
    mono = audio.mean(axis=0)
    if float(np.abs(mono).max(initial=0.0)) < SILENT:
        return np.zeros(0)
    hop = max(1, round(rate_hz * HOP_SECONDS))
    strength = onset_strength(mono, rate_hz, hop)
    return peaks(strength, rate_hz, hop) * hop / rate_hz


def onset_strength(mono: FloatArray, rate_hz: int, hop_samples: int) -> FloatArray:
    """How much louder the mel bands get from frame to frame, on average, in dB: [frames]."""
    power = mel_power(mono, rate_hz, WINDOW, hop_samples, BANDS)
    level = decibels(power, POWER_FLOOR, RANGE_DB)
    flux = np.maximum(0.0, np.diff(level, axis=1)).mean(axis=0)
    # The frame's window ends half a window after its middle: it hears what begins that much early.
    late = 1 + WINDOW // (2 * hop_samples)
    found: FloatArray = np.pad(flux, (late, 0))[: level.shape[1]]
    return found


def peaks(strength: FloatArray, rate_hz: int, hop_samples: int) -> NDArray[np.int64]:
    """Frames that are peaks of `strength`, ascending."""
    low, high = float(strength.min()), float(strength.max())
    if not np.isfinite(high - low) or high <= low:
        return np.zeros(0, np.int64)
    curve = (strength - low) / (high - low)
    before, around, wait = (int(seconds * rate_hz // hop_samples) for seconds in
                            (BEFORE_PEAK_SECONDS, AROUND_SECONDS, WAIT_SECONDS))
    highest = sliding_window_view(np.pad(curve, (before, 0)), before + 1).max(axis=1)
    size = len(curve)
    sums = np.concatenate([[0.0], np.cumsum(curve, dtype=np.float64)])
    first = np.maximum(np.arange(size) - around, 0)
    last = np.minimum(np.arange(size) + around + 1, size)
    mean = (sums[last] - sums[first]) / (last - first)
    candidates = np.flatnonzero((curve >= highest) & (curve >= mean + HEIGHT))
    found: list[int] = []
    for frame in candidates:
        if not found or frame > found[-1] + wait:
            found.append(int(frame))
    return np.array(found, np.int64)
