"""What the models are fed while they are timed: music-like noise, the same on every machine.

Beats at 125 BPM: each starts with a burst that decays by 60 dB within the beat, over a quiet bed,
with every eighth beat silent. Loud, quiet and silent blocks thus occur as in music, so that
code whose speed depends on the signal (denormal numbers, branches) shows it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

BEAT_SECONDS = 0.48
BED = 1e-3  # -60 dBFS
SILENT_EVERY = 8  # beats

FloatArray = NDArray[np.float32]


def beats(channels: int, frames: int, rate_hz: float, seed: int = 0) -> FloatArray:
    """Float32 [channels, frames], peak below 1, `rate_hz` frames per second."""
    rng = np.random.default_rng(seed)
    beat, place = np.divmod(np.arange(frames) / (BEAT_SECONDS * rate_hz), 1.0)
    level = 0.25 * 10.0 ** (-3.0 * place) + BED
    level[beat % SILENT_EVERY == SILENT_EVERY - 1] = 0.0
    noise = rng.standard_normal((channels, frames), dtype=np.float32)
    # A first-order low-pass by pairs of samples tilts the spectrum the way music's is tilted.
    noise[:, 1:] = 0.7 * noise[:, 1:] + 0.7 * noise[:, :-1]
    return np.clip(noise * level.astype(np.float32), -1.0, 1.0)


def blocks(signal: FloatArray, size: int) -> list[FloatArray]:
    """`signal` cut into contiguous blocks of `size` frames, the remainder dropped."""
    count = signal.shape[1] // size
    return [np.ascontiguousarray(signal[:, i * size : (i + 1) * size]) for i in range(count)]
