"""What a loop does in time: how it stands to a grid of bars and beats that is known beforehand.

All figures come from one curve, the onset envelope (`training/evaluation/onsets.py`) 100 times a
second. Where a bar begins is never looked for: tempo and bar position are given, for they are what
a generator was asked for.

    sound     |x0 ............................|     bar position at sample 0: `bar`
    envelope  |e0 e1 e2 ...                   |     bar(n) = bar + n / 100 * bpm / 240
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.scores.loops import BEATS, bar_seconds
from training.evaluation.onsets import onset_strength, peaks
from training.evaluation.spectra import bins_hz, decibels, magnitudes

FloatArray = NDArray[np.float32]
Array = NDArray[np.float64]

ENVELOPE_HZ = 100
STEPS = 16  # of a bar
SILENT = 1e-4  # amplitude below which a sound is silent, as where onsets are looked for
LOCKS = {"lock16": (16.0,), "lock4": (4.0,), "lockx": (15.3, 13.7)}  # events a bar
TEMPO_REACH = 1.3  # tempi are looked for between the asked one over this and times this: less than
# the third at which most rhythms are like themselves as well, more than from 4 sixteenths to 5
TEMPO_STEP = 0.0025  # of a tempo, from one that is tried to the next
TEMPO_TOLERANCE = 0.02
LONGEST_LAG = 0.7  # of the envelope: of longer lags too little is left to compare
MOTION_SECONDS = 0.016
MOTION_WINDOW_SECONDS = 0.064
LEVEL_FLOOR = 1e-10
QUIET_DB = -60.0  # below, a centroid says nothing


@dataclass(frozen=True)
class Rhythm:
    """Figures of one sound; None where it is too short or silent to have one."""

    beat: float | None  # autocorrelation of the envelope at a beat, and at a bar
    bar: float | None
    lock16: float
    lock4: float
    lockx: float
    tempo: float  # in BPM, by autocorrelation; 0 of silence
    profile: Array  # [STEPS], sums to 1; zeros of silence


def rhythm_of(sound: FloatArray, rate_hz: int, bpm: float, bar: float = 0.0) -> Rhythm:
    """Of a mono sound [samples] at an asked tempo, `bar` being the bar position of its start."""
    strength = envelope(sound, rate_hz)
    place = bar_positions(len(strength), bpm, bar)
    beat = ENVELOPE_HZ * 60 / bpm
    correlation = autocorrelation(strength)
    return Rhythm(
        beat=at_lag(correlation, beat), bar=at_lag(correlation, BEATS * beat),
        tempo=tempo_by_autocorrelation(correlation, (bpm / TEMPO_REACH, bpm * TEMPO_REACH)),
        profile=profile(strength, place),
        **{name: float(np.mean([lock(strength, place, k) for k in events]))
           for name, events in LOCKS.items()})


def tempo_hit(tempo: float, bpm: float) -> bool:
    """Whether a tempo is what was asked for."""
    return abs(tempo / bpm - 1) <= TEMPO_TOLERANCE


def envelope(sound: FloatArray, rate_hz: int) -> Array:
    """The onset envelope of a mono sound, `ENVELOPE_HZ` times a second: [frames], zeros of
    silence. It is taken at times, not every so many samples, for no rate need be a multiple."""
    hop = max(1, round(rate_hz / ENVELOPE_HZ))
    if not heard(sound):
        return np.zeros(max(1, len(sound) * ENVELOPE_HZ // rate_hz))
    found = np.asarray(onset_strength(sound, rate_hz, hop), np.float64)
    if hop * ENVELOPE_HZ == rate_hz:
        return found
    times = np.arange(len(sound) * ENVELOPE_HZ // rate_hz) / ENVELOPE_HZ
    return np.interp(times, np.arange(len(found)) * hop / rate_hz, found)


def heard(sound: FloatArray) -> bool:
    """Whether there is anything but silence, and nothing that is no number."""
    return bool(np.isfinite(sound).all()) and float(np.abs(sound).max(initial=0.0)) >= SILENT


def bar_positions(frames: int, bpm: float, bar: float = 0.0) -> Array:
    """Where in the bars the frames of an envelope lie: [frames]."""
    return bar + np.arange(frames) / ENVELOPE_HZ / bar_seconds(bpm)


def autocorrelation(strength: Array) -> Array:
    """Of an envelope less its mean, by lag in frames, 1 at 0; each lag is a mean over what two
    copies share, so that repeating does not count for less the later it comes."""
    centred = strength - strength.mean()
    size = len(centred)
    spectrum = np.fft.rfft(centred, 2 * size)
    sums = np.fft.irfft(np.square(np.abs(spectrum)))[:size]
    if not sums[0] > 0:
        return np.zeros(size)
    return sums / sums[0] * size / (size - np.arange(size))


def at_lag(correlation: Array, lag: float) -> float | None:
    """Between two frames as on a line; None where too little is left to compare."""
    below = int(lag)
    if lag + 1 > LONGEST_LAG * len(correlation):
        return None
    part = lag - below
    return float((1 - part) * correlation[below] + part * correlation[below + 1])


def lock(strength: Array, place: Array, events: float) -> float:
    """How much of the envelope falls on one phase of a grid of `events` a bar:
    |sum e(t) exp(2 pi i events bar(t))| / sum e(t). 1: all of it; near 0: it does not know of the
    grid."""
    total = float(strength.sum())
    if not total > 0:
        return 0.0
    return float(np.abs((strength * np.exp(2j * np.pi * events * place)).sum())) / total


def profile(strength: Array, place: Array) -> Array:
    """The envelope folded over the bar: mean at each of its 16 steps, which are centred on the
    grid, with unit sum: [STEPS]."""
    step = np.floor(place % 1 * STEPS + 0.5).astype(np.int64) % STEPS
    counts = np.bincount(step, minlength=STEPS)
    means = np.bincount(step, strength, STEPS) / np.maximum(counts, 1)
    total = means.sum()
    return means / total if total > 0 else np.zeros(STEPS)


def tempo_by_autocorrelation(correlation: Array, tempo_range: tuple[float, float]) -> float:
    """The tempo of `tempo_range` at which an envelope is most like itself a beat later, two beats
    counting half and a bar a quarter; 0 where nothing is like anything."""
    low, high = tempo_range
    tried = np.exp(np.arange(np.log(low), np.log(high), TEMPO_STEP))
    size, found = len(correlation), np.zeros(len(tried))
    for beats, weight in ((1, 1.0), (2, 0.5), (4, 0.25)):
        lags = beats * 60 * ENVELOPE_HZ / tried
        fits = lags + 1 <= LONGEST_LAG * size
        found += weight * np.where(fits, np.interp(lags, np.arange(size), correlation), 0.0)
    return float(tried[found.argmax()]) if correlation[0] > 0 else 0.0


def onsets_per_second(sound: FloatArray, rate_hz: int) -> float:
    """How many sounds begin in a second."""
    strength = envelope(sound, rate_hz).astype(np.float32)
    return len(peaks(strength, ENVELOPE_HZ, 1)) * ENVELOPE_HZ / len(strength)


def level_db(sound: FloatArray) -> float:
    """RMS level with a floor at -100 dB."""
    power = float(np.square(sound, dtype=np.float64).mean())
    return 10 * float(np.log10(max(power, LEVEL_FLOOR)))


def level_and_centroid(sound: FloatArray, rate_hz: int) -> tuple[Array, Array]:
    """In frames of 16 ms: level in dB, and the spectral centroid in octaves (log2 of Hz), NaN
    where it is quiet. As in `training.evaluation.descriptors`, without what takes longer."""
    window = 2 ** round(np.log2(MOTION_WINDOW_SECONDS * rate_hz))
    spectrum = magnitudes(sound, window, max(1, round(MOTION_SECONDS * rate_hz))) + 1e-10
    power = np.square(spectrum.astype(np.float64))
    mean = 2 * power.sum(axis=0) / window**2 / (3 / 8)  # after what the window took
    level = decibels(mean, LEVEL_FLOOR)
    centroid = bins_hz(window, rate_hz) @ spectrum / spectrum.sum(axis=0)
    return level, np.where(level > QUIET_DB, np.log2(np.maximum(centroid, 1.0)), np.nan)


def measured_knobs(sounds: Sequence[FloatArray], rate_hz: int) -> dict[str, Array]:
    """What the knobs are about, of mono sounds: onsets a second, median centroid in octaves (NaN of
    a silent sound), RMS level in dB: each [sounds]."""
    centroids = [level_and_centroid(sound, rate_hz)[1] for sound in sounds]
    known = [row[np.isfinite(row)] for row in centroids]
    return {
        "density": np.array([onsets_per_second(sound, rate_hz) for sound in sounds]),
        "brightness": np.array([np.median(row) if len(row) else np.nan for row in known]),
        "loudness": np.array([level_db(sound) for sound in sounds]),
    }


def motion(sound: FloatArray, rate_hz: int) -> tuple[Array, Array]:
    """How much level (dB) and centroid (octaves) move from one 16 ms to the next, absolute."""
    level, centroid = level_and_centroid(sound, rate_hz)
    steps = np.abs(np.diff(centroid))
    return np.abs(np.diff(level)), steps[np.isfinite(steps)]


def ks_distance(a: NDArray[Any], b: NDArray[Any]) -> float | None:
    """Largest distance of two distributions' cumulative shares (Kolmogorov and Smirnov): 0 for one
    distribution, 1 for two that do not meet; None where either is empty."""
    if not len(a) or not len(b):
        return None
    places = np.concatenate([a, b])
    shares = [np.searchsorted(np.sort(part), places, "right") / len(part) for part in (a, b)]
    return float(np.abs(shares[0] - shares[1]).max())
