"""What a sound says of itself, row by row: how loud it is, and which note sounds if one does."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from engine.hearing.frames import a_weighting, fast_size
from engine.hearing.yin import fundamental_hz
from engine.scores.conditions import MIDDLE_C_HZ, smoothed_bels, voices_of

FloatArray = NDArray[np.float32]
HOP_S = 0.005  # between two looks for a pitch
PERIODS = 2.5  # of the lowest pitch, in one look
LOWEST_HZ, HIGHEST_HZ = 70.0, 1700.0  # of pitches, unless somebody says otherwise
QUIET_BELS = -5.0  # what is quieter has no pitch
LEAST_NOTE_S = 0.03  # shorter notes and gaps are slips of the estimate
PART_S = 4.0  # of sound that is weighted at a time: what a core's cache holds


def heard_conditions(mono: FloatArray, rate: int, ratio: int, labels: Sequence[str]) -> FloatArray:
    """What a model that plays notes would have been told to play `mono` [samples]: loudness, and
    pitch and gate of its first voice, [labels, rows], a row for `ratio` samples. All else is 0, as
    is everything for a model with other inputs."""
    out = np.zeros((len(labels), len(mono) // ratio), np.float32)
    voices = voices_of(labels)
    if voices:
        out[2 * voices] = loudness_bels(mono, rate, ratio)
        out[:2] = pitch_rows(mono, rate, ratio, out[2 * voices], LOWEST_HZ,
                             min(HIGHEST_HZ, rate / 4))
    return out


def loudness_bels(mono: FloatArray, rate: int, ratio: int) -> FloatArray:
    """A-weighted level of each whole row of `ratio` samples, smoothed, in bels; a sine of full
    scale at 1 kHz has 0: [rows]."""
    rows = len(mono) // ratio
    power = np.zeros(rows)
    part, edge = max(1, round(PART_S * rate / ratio)) * ratio, -(-rate // 4 // ratio) * ratio
    for start in range(0, rows * ratio, part):
        first = max(0, start - edge)
        piece = mono[first : start + part + edge].astype(np.float64)
        size = fast_size(len(piece) + rate // 16)  # room for the weighting to ring into
        bins = np.fft.rfft(piece, size) * _gains(size, rate)
        squares = np.square(np.fft.irfft(bins, size)[start - first :][:part])
        squares = squares[: (min(start + part, rows * ratio) - start)].reshape(-1, ratio)
        power[start // ratio : start // ratio + len(squares)] = 2 * squares.mean(axis=1)
    return smoothed_bels(power, rate / ratio)


@lru_cache(maxsize=8)
def _gains(size: int, rate: int) -> NDArray[np.float64]:
    """Of every bin of a transform of `size` samples."""
    return a_weighting(np.fft.rfftfreq(size, 1 / rate).astype(np.float64))


def pitch_rows(mono: FloatArray, rate: int, ratio: int, loudness: FloatArray,
               lowest_hz: float, highest_hz: float) -> FloatArray:
    """Octaves from middle C and gate of each row: [2, rows]. The gate is open where the sound is
    periodic and loud enough; elsewhere the pitch stays."""
    rows, hop = len(loudness), max(1, round(HOP_S * rate))
    window = 2 * round(PERIODS * rate / lowest_hz / 2)
    hertz = fundamental_hz(mono, rate, lowest_hz, highest_hz, window, hop, clear=True)
    near = np.minimum((np.arange(rows) * ratio + ratio // 2) // hop, len(hertz) - 1)
    found = hertz[near]
    gate = np.isfinite(found) & (loudness > QUIET_BELS)
    gate = _steady(gate, max(1, round(LEAST_NOTE_S * rate / ratio)))
    known = np.isfinite(found) & gate
    if not known.any():
        return np.zeros((2, rows), np.float32)
    last = np.maximum.accumulate(np.where(known, np.arange(rows), -1))
    last[last < 0] = int(known.argmax())
    return np.stack([np.log2(found[last] / MIDDLE_C_HZ), gate]).astype(np.float32)


def _steady(gate: NDArray[np.bool_], least: int) -> NDArray[np.bool_]:
    """`gate` without gaps, then without notes, of fewer than `least` rows."""
    out = gate.copy()
    for value in (False, True):
        edges = np.flatnonzero(np.diff(out)) + 1
        starts, ends = [0, *edges], [*edges, len(out)]
        for start, end in zip(starts, ends, strict=True):
            inside = start > 0 and end < len(out)
            if len(out) and out[start] == value and end - start < least and (inside or value):
                out[start:end] = not value
    return out
