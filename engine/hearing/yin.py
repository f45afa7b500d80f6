"""The fundamental frequency of frames (YIN, de Cheveigne and Kawahara 2002), as a descriptor.

(`training.objectives.controls.pitch` is what a model is taught; it says where there is none.)
"""

from __future__ import annotations

from math import ceil, floor

import numpy as np
from numpy.typing import NDArray

from engine.hearing.frames import framed

FloatArray = NDArray[np.float32]

THRESHOLD = 0.1  # the first dip of the normalised difference below this is the period
FRAMES_AT_ONCE = 64


def fundamental_hz(mono: FloatArray, rate_hz: int, lowest_hz: float, highest_hz: float,
                   window_samples: int, hop_samples: int, clear: bool = False) -> FloatArray:
    """Of each frame, centred at n * `hop_samples`: [frames]. Where no dip is deep enough, the
    deepest counts; NaN if the pitch is to be `clear`."""
    frames = framed(mono, window_samples, hop_samples)
    shortest = floor(rate_hz / highest_hz)
    longest = min(ceil(rate_hz / lowest_hz), window_samples - 1)
    return np.concatenate([
        rate_hz / _periods(frames[first : first + FRAMES_AT_ONCE], shortest, longest, clear)
        for first in range(0, len(frames), FRAMES_AT_ONCE)
    ])


def _periods(frames: FloatArray, shortest: int, longest: int, clear: bool) -> FloatArray:
    """In samples, to fractions of one: [frames, window] -> [frames]."""
    curve = _normalised_difference(frames, longest)[:, shortest - 1 :]  # from `shortest` on
    inner, before, after = curve[:, 1:-1], curve[:, :-2], curve[:, 2:]
    dips = np.zeros(curve.shape, bool)
    dips[:, 1:-1] = (inner < before) & (inner <= after)
    dips[:, 0] = curve[:, 0] < curve[:, 1]
    dips[:, -1] = curve[:, -1] < curve[:, -2]
    dips &= curve < THRESHOLD
    at = np.where(dips.any(axis=1), dips.argmax(axis=1), curve.argmin(axis=1))
    # The lowest point of a parabola through a dip and its neighbours, where it is one.
    bend, slope = after + before - 2 * inner, (after - before) / 2
    sharp = np.abs(slope) < np.abs(bend)
    shift = np.zeros_like(curve)
    shift[:, 1:-1] = np.where(sharp, -slope / np.where(sharp, bend, 1), 0)
    found = shortest + at + np.take_along_axis(shift, at[:, None], axis=1)[:, 0]
    return np.where(dips.any(axis=1), found, np.nan) if clear else found


def _normalised_difference(frames: FloatArray, longest: int) -> FloatArray:
    """For lags 1 ... `longest`: how unlike a frame is to itself that much later, as a share of the
    mean over all lags so far. [frames, window] -> [frames, longest]."""
    size = frames.shape[1] + longest
    size += -size % 2 ** (size.bit_length() - 3)  # a length that an FFT likes
    products = np.fft.irfft(np.square(np.abs(np.fft.rfft(frames, size))), size)
    energy = np.cumsum(np.square(frames[:, :longest]), axis=1)  # of what a lag leaves behind
    difference = 2 * (products[:, :1] - products[:, 1 : longest + 1]) - energy
    mean = np.cumsum(difference, axis=1) / np.arange(1, longest + 1, dtype=np.float32)
    return difference / (mean + np.finfo(np.float32).tiny)
