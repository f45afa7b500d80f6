"""Whether fragments of a sound follow each other as those of real sound do.

    fragments   | 32 ms | 32 ms | 32 ms | ...
    at borders          ^       ^             by how much level and spectrum jump

A generator with gaps between its fragments jumps more often than real sound; noise or a dead tone
has a distribution of jumps of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.evaluation.spectra import hann, mel_bands

Array = NDArray[np.float64]
FRAGMENT_SECONDS = 0.032
BANDS = 24
FLOOR_DB = -70.0  # below nothing is heard, so nothing jumps
RARE = 99.0  # percentile of real jumps that is a gap


@dataclass(frozen=True)
class Jumps:
    """At each border: the change of level in dB, and the mean change of mel bands in dB."""

    loudness: Array
    flux: Array

    @classmethod
    def of(cls, sounds: Sequence[NDArray[Any]], rate_hz: int) -> Jumps:
        """Of sounds [samples] together; no border lies between two of them."""
        found = [_jumps(sound, rate_hz) for sound in sounds]
        return cls(*(np.concatenate(part) for part in zip(*found, strict=True)))

    def against(self, real: Jumps) -> dict[str, float | None]:
        """For both: how many times as often as in real sound there is a gap, which 1 % of real
        borders are, and how far the distributions are apart (Kolmogorov and Smirnov), from 0 to
        1. None where there are too few borders to tell."""
        found: dict[str, float | None] = {}
        for name, own, other in (("loudness", self.loudness, real.loudness),
                                 ("flux", self.flux, real.flux)):
            enough = len(own) >= 100 and len(other) >= 100
            found[f"{name}_gaps"] = _gaps(own, other) if enough else None
            found[f"{name}_apart"] = _apart(own, other) if enough else None
        return found


def _jumps(sound: NDArray[Any], rate_hz: int) -> tuple[Array, Array]:
    size = round(FRAGMENT_SECONDS * rate_hz)
    count = len(sound) // size
    if count < 2:
        return np.zeros(0), np.zeros(0)
    parts = np.asarray(sound[: count * size], np.float64).reshape(count, size)
    floor = 10 ** (FLOOR_DB / 10)
    level = 10 * np.log10(np.square(parts).mean(axis=1) + floor)
    power = np.square(np.abs(np.fft.rfft(parts * hann(size)))) / (size**2 / 8)
    bands = mel_bands(size, rate_hz, BANDS)
    bands = bands / np.maximum(bands.max(axis=1, keepdims=True), 1e-12)
    spectrum = 10 * np.log10(power @ bands.T + floor / BANDS)
    return np.abs(np.diff(level)), np.abs(np.diff(spectrum, axis=0)).mean(axis=1)


def _gaps(own: Array, real: Array) -> float:
    return float((own > np.percentile(real, RARE)).mean() / (1 - RARE / 100))


def _apart(own: Array, real: Array) -> float:
    places = np.concatenate([own, real])
    below = [np.searchsorted(np.sort(part), places, "right") / len(part) for part in (own, real)]
    return float(np.abs(below[0] - below[1]).max())


def frame_edges(sounds: Sequence[NDArray[Any]], period: int) -> float | None:
    """Mean bend (second difference, absolute) where a model's frames of `period` samples meet, over
    that elsewhere: near 1 where nothing happens there. None for a period that has no elsewhere."""
    if period < 4:
        return None
    total, count = np.zeros(period), np.zeros(period)
    for sound in sounds:
        bend = np.abs(np.diff(np.asarray(sound, np.float64), 2))
        place = (np.arange(len(bend)) + 2) % period  # of the last of the three samples
        total += np.bincount(place, bend, period)
        count += np.bincount(place, minlength=period)
    mean = total / np.maximum(count, 1)
    # The first two samples of a frame bend with its last ones.
    return float(mean[:2].mean() / max(mean[2:].mean(), 1e-12))
