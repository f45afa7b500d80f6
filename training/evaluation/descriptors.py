"""What a sound is like, as curves over time, and how alike two collections of sounds are.

Curves are librosa's spectral descriptors, RMS in dB and the fundamental frequency (YIN); where a
frame is too quiet to be like anything they are NaN, but for the level.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Curves = NDArray[np.float64]  # [descriptors, frames]
FloatArray = NDArray[np.float32]

NAMES = ("centroid", "bandwidth", "contrast", "flatness", "rolloff", "rms", "f0")
LABELS = ("centroid Hz", "bandwidth Hz", "contrast dB", "flatness dB", "rolloff Hz", "RMS dBFS",
          "f0 Hz")
WINDOW_SECONDS = 0.064
QUIET_DB = -60.0
FLOOR = 1e-6
POINT_SECONDS = 0.25  # a point of a collection: means and spreads over so long
POINTS = 1500  # at most, of either collection


def curves(audio: FloatArray, rate_hz: int, hop_samples: int) -> Curves:
    """Descriptors of `audio` [channels, samples], mixed down: [7, frames], frame n centred at
    n * `hop_samples`, one frame per whole hop."""
    import librosa

    mono = np.ascontiguousarray(audio.mean(axis=0))
    count = max(1, mono.shape[0] // hop_samples)
    window = 2 ** round(np.log2(WINDOW_SECONDS * rate_hz))
    spectrum = np.abs(librosa.stft(mono, n_fft=window, hop_length=hop_samples)) + 1e-10
    common: dict[str, Any] = {"S": spectrum, "sr": rate_hz, "n_fft": window}
    level = librosa.feature.rms(S=spectrum, frame_length=window)[0]
    lowest = rate_hz / 80
    bands = int(np.clip(np.log2(0.4 * rate_hz / lowest), 1, 6))
    rows = [
        librosa.feature.spectral_centroid(**common)[0],
        librosa.feature.spectral_bandwidth(**common)[0],
        librosa.feature.spectral_contrast(**common, fmin=lowest, n_bands=bands).mean(axis=0),
        10 * np.log10(librosa.feature.spectral_flatness(S=spectrum)[0]),
        librosa.feature.spectral_rolloff(**common)[0],
        20 * np.log10(np.maximum(level / np.sqrt(3 / 8), FLOOR)),  # what the Hann window took
        librosa.yin(mono, fmin=40, fmax=min(2000, rate_hz / 4), sr=rate_hz, frame_length=2 * window,
                    hop_length=hop_samples),
    ]
    length = min(count, *(len(row) for row in rows))
    found = np.stack([row[:length] for row in rows]).astype(np.float64)
    loud = found[NAMES.index("rms")] > QUIET_DB
    found[:, ~loud] = np.where(np.arange(len(NAMES))[:, None] == NAMES.index("rms"),
                               found[:, ~loud], np.nan)
    return found


def spearman(a: Curves, b: Curves) -> NDArray[np.float64]:
    """Rank correlation of every row of `a` [m, frames] with every row of `b` [n, frames] over the
    frames where both are numbers: [m, n], 0 where either does not vary."""
    from scipy.stats import rankdata

    found = np.zeros((len(a), len(b)))
    for j, other in enumerate(b):
        for i, row in enumerate(a):
            both = np.isfinite(row) & np.isfinite(other)
            if both.sum() < 3:
                continue
            x, y = (rankdata(v[both]) - (both.sum() + 1) / 2 for v in (row, other))
            norm = np.sqrt(np.square(x).sum() * np.square(y).sum())
            found[i, j] = (x * y).sum() / norm if norm > 0 else 0.0
    return found


def points(audio: FloatArray, rate_hz: int) -> NDArray[np.float64]:
    """A sound as points of a collection: means and spreads of its descriptors over stretches of
    `POINT_SECONDS`, [stretches, 14]. Frequencies count in octaves."""
    hop = max(1, round(rate_hz / 60))
    found = curves(audio, rate_hz, hop)
    for name in ("centroid", "bandwidth", "rolloff", "f0"):
        row = NAMES.index(name)
        found[row] = np.log2(np.maximum(found[row], 1.0))
    size = round(POINT_SECONDS * 60)
    count = max(1, found.shape[1] // size)
    rows = []
    for index in range(count):
        part = found[:, index * size : (index + 1) * size]
        heard = part[:, np.isfinite(part).all(axis=0)]
        if heard.shape[1] < 2:  # silence is a place of its own: the level alone
            rows.append(np.concatenate([[0.0] * 5, [part[5].mean(), 0.0], [0.0] * 7]))
            continue
        rows.append(np.concatenate([heard.mean(axis=1), heard.std(axis=1)]))
    return np.stack(rows)


def descriptor_mmd(real: NDArray[np.float64], other: NDArray[np.float64]) -> float | None:
    """Squared MMD (inverse multiquadratic, `training.objectives.regularisers.mmd`) of two
    collections of points, each axis in units of the real collection's spread. 0 on average for two
    halves of one collection; it may come out slightly negative, being unbiased. None for a single
    point."""
    import torch

    from training.objectives.regularisers import mmd

    count = min(len(real), len(other), POINTS)
    if count < 2:
        return None
    spread = real.std(axis=0)
    spread = np.where(spread > 1e-9, spread, 1.0)
    centre = real.mean(axis=0)
    rng = np.random.default_rng(0)
    x, y = (torch.from_numpy((part[rng.permutation(len(part))[:count]] - centre) / spread)
            for part in (real, other))
    return float(mmd(x, y.clamp(-20, 20), "imq"))
