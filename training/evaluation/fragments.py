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

from training.evaluation.asked_notes import HOP_SECONDS, Asked
from training.evaluation.spectra import hann, mel_bands

Array = NDArray[np.float64]
FRAGMENT_SECONDS = HOP_SECONDS
BANDS = 24
FLOOR_DB = -60.0  # below nothing is heard, so nothing jumps
RARE = 99.0  # percentile of real jumps that is a gap
LEAST = 100  # borders, below which nothing is said


@dataclass(frozen=True)
class Jumps:
    """At each border: the change of level in dB, and the mean change of mel bands in dB; and
    whether it lies inside a note, as far as that is known, where nothing asks for a change."""

    loudness: Array
    flux: Array
    inside: NDArray[np.bool_]

    @classmethod
    def of(cls, sounds: Sequence[NDArray[Any]], rate_hz: int,
           asked: Sequence[Asked | None] = ()) -> Jumps:
        """Of sounds [samples] together, and what they were asked for; no border lies between two of
        them."""
        loudness, flux, inside = [], [], []
        for number, sound in enumerate(sounds):
            level, bands = _jumps(sound, rate_hz)
            score = asked[number] if number < len(asked) else None
            # Two fragments are a frame of the score.
            held = (np.ones(len(level), bool) if score is None else
                    np.isfinite(score.octaves)[: len(level)])
            loudness.append(level)
            flux.append(bands)
            inside.append(np.pad(held, (0, len(level) - len(held))))
        return cls(np.concatenate(loudness), np.concatenate(flux), np.concatenate(inside))

    def against(self, real: Jumps) -> dict[str, float | None]:
        """For both: how many times as often as in real sound there is a gap inside a note, which
        1 % of real borders there are, and how far the distributions of all are apart (Kolmogorov
        and Smirnov), from 0 to 1. None where there are too few borders to tell."""
        found: dict[str, float | None] = {}
        for name, own, other in (("loudness", self.loudness, real.loudness),
                                 ("flux", self.flux, real.flux)):
            held, others = own[self.inside], other[real.inside]
            found[f"{name}_gaps"] = _gaps(held, others) if _enough(held, others) else None
            found[f"{name}_apart"] = _apart(own, other) if _enough(own, other) else None
        return found


def _enough(*parts: Array) -> bool:
    return all(len(part) >= LEAST for part in parts)


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
