"""Whether a sound plays the notes that it is asked for: conditions of a score, frame by frame.

Frames are 64 ms long and come every 32. Those in which one note sounds, and nothing else does, say
whether its pitch is there: where the harmonic sum of the spectrum has its peak.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from engine.layers.pitch import MIDDLE_C_HZ
from training.evaluation.spectra import hann

FloatArray = NDArray[np.float32]
Array = NDArray[np.float64]
Flags = NDArray[np.bool_]
Places = NDArray[np.int64]

FRAME_SECONDS, HOP_SECONDS = 0.064, 0.032
CENTS = 60.0  # a note is there if the peak is no further off
STEADY_OCTAVES = 1 / 12  # by which the pitch of a frame's note may move
# What a pitch is looked for among, in steps of 15 cents, and its partials: later ones count less.
LOWEST_HZ, HIGHEST_HZ, STEPS_PER_OCTAVE = 60.0, 2200.0, 80
PARTIALS, DECAY = 24, 0.84  # with ten a flat spectrum has the pitch of its third partial
CLEAR_HZ = (50.0, 2000.0)
SILENT = 1e-5  # RMS below which a frame has neither pitch nor clarity
ON = 0.5  # of a gate
PITCH, GATE = "pitch", "gate"  # what labels of conditions begin with


@dataclass(frozen=True)
class Layout:
    """Which rows of conditions say what: pitches and gates in pairs, one for each voice."""

    pitches: tuple[int, ...]
    gates: tuple[int, ...]

    @classmethod
    def of(cls, labels: Sequence[str]) -> Layout | None:
        """By the labels of a method's input; None where no notes can be asked for."""
        pitches, gates = (tuple(i for i, label in enumerate(labels) if label.startswith(word))
                          for word in (PITCH, GATE))
        return cls(pitches, gates) if gates and len(pitches) == len(gates) else None

    def score(self, conditions: FloatArray) -> FloatArray:
        """Pitch and gate of each voice in turn [2 voices, rows]."""
        rows = [row for pair in zip(self.pitches, self.gates, strict=True) for row in pair]
        return conditions[rows]


@dataclass(frozen=True)
class Asked:
    """What is asked of each frame: the one pitch in octaves from middle C, NaN where there are none
    or several; and whether any note is on at all."""

    octaves: Array
    any: Flags

    @classmethod
    def of(cls, score: FloatArray, row_samples: int, rate_hz: int, samples: int) -> Asked:
        """From pitch and gate of each voice in turn [2 voices, rows], for the frames of a sound of
        so many samples."""
        size, hop = frame_samples(rate_hz)
        starts = np.arange(frame_count(samples, rate_hz)) * hop
        first = starts // row_samples
        count = max(1, -(-size // row_samples))
        rows = np.minimum(first[:, None] + np.arange(count), score.shape[1] - 1)
        on = score[1::2][:, rows] > ON  # [voices, frames, rows]
        pitch = score[0::2][:, rows].astype(np.float64)
        alone = on.all(axis=2).sum(axis=0) == 1
        alone &= on.any(axis=2).sum(axis=0) == 1
        voice = on.all(axis=2).argmax(axis=0)
        own = np.take_along_axis(pitch, voice[None, :, None], axis=0)[0]
        alone &= np.ptp(own, axis=1) <= STEADY_OCTAVES
        heard = np.asarray(on.any(axis=(0, 2)))
        return cls(np.where(alone, own.mean(axis=1), np.nan), heard)


def frame_samples(rate_hz: int) -> tuple[int, int]:
    """Length and hop."""
    return round(FRAME_SECONDS * rate_hz), round(HOP_SECONDS * rate_hz)


def frame_count(samples: int, rate_hz: int) -> int:
    size, hop = frame_samples(rate_hz)
    return max(0, (samples - size) // hop + 1)


def framed(audio: NDArray[np.floating], rate_hz: int) -> Array:
    """[samples] -> [frames, samples of one], whole frames from the first sample on."""
    size, hop = frame_samples(rate_hz)
    if len(audio) < size:
        return np.zeros((0, size))
    return np.asarray(sliding_window_view(np.asarray(audio, np.float64), size)[::hop])


def peak_octaves(frames: Array, rate_hz: int) -> Array:
    """Where the harmonic sum of each frame [frames, samples] has its peak, in octaves from middle
    C; NaN in silence."""
    size = 4 * 2 ** int(np.ceil(np.log2(frames.shape[1])))
    octaves, places, weights = _comb(rate_hz, size)
    found = np.full(len(frames), np.nan)
    for first in range(0, len(frames), 64):
        part = frames[first : first + 64]
        spectrum = np.abs(np.fft.rfft(part * hann(part.shape[1]), size))
        # A square root, so that one strong partial is not a pitch by itself.
        sums = np.sqrt(spectrum)[:, places] @ weights
        found[first : first + 64] = np.where(
            np.sqrt(np.square(part).mean(axis=1)) > SILENT, octaves[sums.argmax(axis=1)], np.nan)
    return found


@lru_cache(maxsize=4)
def _comb(rate_hz: int, size: int) -> tuple[Array, Places, Array]:
    """Pitches that are looked for [pitches], the bins of their partials [pitches, partials], and
    how much each partial counts [partials]."""
    count = int(np.log2(HIGHEST_HZ / LOWEST_HZ) * STEPS_PER_OCTAVE) + 1
    hertz = LOWEST_HZ * 2 ** (np.arange(count) / STEPS_PER_OCTAVE)
    partial = np.arange(1.0, PARTIALS + 1)
    places = np.rint(hertz[:, None] * partial * size / rate_hz).astype(np.int64)
    places = np.minimum(places, size // 2)  # beyond the Nyquist frequency there is nothing
    counts: Array = DECAY ** (partial - 1)
    return np.log2(hertz / MIDDLE_C_HZ), places, counts


def in_tune(audio: NDArray[np.floating], asked: Asked, rate_hz: int) -> Flags:
    """Of the frames with one note, whether its pitch is there."""
    single = np.flatnonzero(np.isfinite(asked.octaves))
    frames = framed(audio, rate_hz)
    single = single[single < len(frames)]
    heard = peak_octaves(frames[single], rate_hz)
    return np.asarray(np.abs(heard - asked.octaves[single]) * 1200 <= CENTS)


def clarity(frames: Array, rate_hz: int) -> Array:
    """How like itself each frame [frames, samples] is a period later: 1 for a tone, about .1 for
    white noise, 0 in silence. The highest value of the normalised autocorrelation (McLeod and
    Wyvill 2005) past its first negative one: below that lag all that is dull is like itself."""
    length = frames.shape[1]
    shortest, longest = (round(rate_hz / hertz) for hertz in reversed(CLEAR_HZ))
    longest = min(longest, length - 1)
    size = 2 ** int(np.ceil(np.log2(length + longest + 1)))
    found = np.zeros(len(frames))
    for first in range(0, len(frames), 64):
        part = frames[first : first + 64]
        part = part - part.mean(axis=1, keepdims=True)
        products = np.fft.irfft(np.square(np.abs(np.fft.rfft(part, size))), size)[:, : longest + 1]
        sums = np.pad(np.cumsum(np.square(part), axis=1), ((0, 0), (1, 0)))
        lags = np.arange(longest + 1)
        energy = sums[:, length - lags] + sums[:, -1:] - sums[:, lags]
        like = 2 * products / np.maximum(energy, length * SILENT**2)
        fallen = np.maximum.accumulate(like < 0, axis=1)
        fallen[:, :shortest] = False
        found[first : first + 64] = np.where(fallen, like, 0).max(axis=1)
    return found


def levels_db(frames: Array) -> Array:
    """RMS of each frame in dB, not below -100."""
    power = np.square(frames).mean(axis=1) if len(frames) else np.zeros(0)
    levels: Array = 10 * np.log10(np.maximum(power, 1e-10))
    return levels
