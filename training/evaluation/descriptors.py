"""What a sound is like, as curves over time, and how alike two collections of sounds are.

Curves are spectral descriptors as librosa defines them, RMS in dB and the fundamental frequency
(YIN); where a frame is too quiet to be like anything they are NaN, but for the level.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engine.hearing.yin import fundamental_hz
from training.evaluation.spectra import bins_hz, decibels, magnitudes

Curves = NDArray[np.float64]  # [descriptors, frames]
FloatArray = NDArray[np.float32]

NAMES = ("centroid", "bandwidth", "contrast", "flatness", "rolloff", "rms", "f0")
LABELS = ("centroid Hz", "bandwidth Hz", "contrast dB", "flatness dB", "rolloff Hz", "RMS dBFS",
          "f0 Hz")
WINDOW_SECONDS = 0.064
QUIET_DB = -60.0
FLOOR = 1e-6
MAGNITUDE_FLOOR = 1e-10
ROLLOFF_SHARE = 0.85  # of the magnitudes lies below the roll-off frequency
CONTRAST_SHARE = 0.02  # of a band's bins are its peak, and as many its valley
CONTRAST_RANGE_DB = 80.0
F0_HZ = (40, 2000)
POINT_SECONDS = 0.25  # a point of a collection: means and spreads over so long
POINTS = 1500  # at most, of either collection


def curves(audio: FloatArray, rate_hz: int, hop_samples: int) -> Curves:
    """Descriptors of `audio` [channels, samples], mixed down: [7, frames], frame n centred at
    n * `hop_samples`, one frame per whole hop."""
    mono = np.ascontiguousarray(audio.mean(axis=0))
    count = max(1, mono.shape[0] // hop_samples)
    window = 2 ** round(np.log2(WINDOW_SECONDS * rate_hz))
    spectrum = magnitudes(mono, window, hop_samples) + np.float32(MAGNITUDE_FLOOR)
    hertz = bins_hz(window, rate_hz)
    rows = [
        *_spectral(spectrum, hertz),
        20 * np.log10(np.maximum(_rms(spectrum), FLOOR)),
        fundamental_hz(mono, rate_hz, F0_HZ[0], min(F0_HZ[1], rate_hz / 4), 2 * window,
                       hop_samples),
    ]
    length = min(count, *(len(row) for row in rows))
    found = np.stack([row[:length] for row in rows]).astype(np.float64)
    loud = found[NAMES.index("rms")] > QUIET_DB
    found[:, ~loud] = np.where(np.arange(len(NAMES))[:, None] == NAMES.index("rms"),
                               found[:, ~loud], np.nan)
    return found


def _spectral(spectrum: FloatArray, hertz: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """The first five of `NAMES` from magnitudes [bins, frames]."""
    share = spectrum / spectrum.sum(axis=0)
    centroid = hertz @ share
    spread = np.square(hertz[:, None] - centroid)
    power = np.maximum(np.square(spectrum), MAGNITUDE_FLOOR)
    flatness = np.exp(np.log(power).mean(axis=0)) / power.mean(axis=0)
    below = np.cumsum(spectrum, axis=0)
    rolloff = hertz[(below >= ROLLOFF_SHARE * below[-1]).argmax(axis=0)]
    return [centroid, np.sqrt((share * spread).sum(axis=0)),
            _contrast(spectrum, hertz), 10 * np.log10(flatness), rolloff]


def _contrast(spectrum: FloatArray, hertz: NDArray[np.float64]) -> NDArray[np.float64]:
    """How far peaks stand above valleys, in dB, on average over octaves (Jiang et al. 2002). Each
    band begins with the bin before its lowest frequency; the last goes to the Nyquist frequency."""
    lowest = 2 * hertz[-1] / 80
    octaves = int(np.clip(np.log2(0.8 * hertz[-1] / lowest), 1, 6))
    starts = [0] + [int(np.searchsorted(hertz, lowest * 2**k, "right")) - 1 for k in range(octaves)]
    peaks, valleys = [], []
    for start, end in zip(starts, [*starts[1:], len(hertz)], strict=True):
        part = np.sort(spectrum[start:end], axis=0)
        count = max(1, round(CONTRAST_SHARE * (end - start)))
        valleys.append(part[:count].mean(axis=0))
        peaks.append(part[-count:].mean(axis=0))
    above, under = (decibels(np.stack(values), MAGNITUDE_FLOOR, CONTRAST_RANGE_DB)
                    for values in (peaks, valleys))
    return (above - under).mean(axis=0)


def _rms(spectrum: FloatArray) -> FloatArray:
    """Level of each frame from its magnitudes [bins, frames], after what the Hann window took."""
    power = np.square(spectrum)
    power[[0, -1]] /= 2  # bins without a mirror image
    return np.sqrt(2 * power.sum(axis=0) / (2 * (len(spectrum) - 1)) ** 2 / (3 / 8))


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


class Units:
    """Axes in units of the spread of a collection [points, axes], about its centre; what does not
    vary in it stays as it is."""

    def __init__(self, collection: NDArray[np.float64]) -> None:
        spread = collection.std(axis=0)
        self.centre, self.spread = collection.mean(axis=0), np.where(spread > 1e-9, spread, 1.0)

    def scaled(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Other points in these units, outliers held at 20."""
        return np.clip((points - self.centre) / self.spread, -20, 20)


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
    units, rng = Units(real), np.random.default_rng(0)
    x, y = (part[rng.permutation(len(part))[:count]] for part in (real, other))
    own = (x - units.centre) / units.spread  # the real ones as they are
    return float(mmd(torch.from_numpy(own), torch.from_numpy(units.scaled(y)), "imq"))
