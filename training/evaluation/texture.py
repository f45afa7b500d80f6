"""Whether noise is still noise: texture, a model's frames heard in it, the level of each octave.

Spectra are amplitudes, 1 for a sine of full scale; signals are float32 [channels, samples].
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from training.evaluation.spectra import hann, magnitudes

FloatArray = NDArray[np.float32]
Levels = NDArray[np.float64]
WINDOWS = (256, 512, 1024)  # of the texture: about as long as a model's frames, and longer
NEIGHBOURS = 6  # bins on either side that say what the level is
LOW_HZ, TOP = 1500.0, 0.94  # texture is looked at from here to this share of the Nyquist frequency
HEARD_DB = -90.0  # below this the original is taken for silent
OCTAVE_HEARD_DB = -80.0
FRAMES = 8  # of the model, under a window of the modulation
# Of the model, under a window of the comb: as many bins lie from one multiple of the frame rate to
# the next, and a quarter of them, these on either side and the multiple itself, count as near.
COMB_FRAMES, COMB_BINS = 36, 4
EMPTY = 1e-7


def spectrogram(audio: FloatArray, window: int) -> Levels:
    """Levels in dB, half a window apart, channels one after the other: [frames, bins]."""
    found = magnitudes(audio, window, window // 2)  # [channels, bins, frames]
    amplitudes = found.swapaxes(-1, -2).reshape(-1, window // 2 + 1) * (4.0 / window)
    return np.asarray(20 * np.log10(amplitudes + EMPTY), np.float64)


def neighbourhood(levels: Levels, reach: int) -> Levels:
    """Of each bin the mean over itself and `reach` bins on either side; the last bin stands for
    those beyond the end."""
    total = np.cumsum(np.pad(levels, ((0, 0), (reach + 1, reach)), mode="edge"), axis=1)
    return np.asarray((total[:, 2 * reach + 1 :] - total[:, : -2 * reach - 1]) / (2 * reach + 1))


class Texture:
    """How far levels stray from those of their neighbours in frequency, where `audio`, the
    original, is heard: 5.6 dB for Gaussian noise but for what the neighbourhood takes, 0 for a
    spectrum without any."""

    def __init__(self, audio: FloatArray, rate_hz: int) -> None:
        self._heard: dict[int, tuple[slice, NDArray[np.bool_]]] = {}
        self.own = []
        for window in WINDOWS:
            bins = np.arange(window // 2 + 1) * (rate_hz / window)
            used = np.flatnonzero((bins > LOW_HZ) & (bins < TOP * rate_hz / 2))
            place = slice(used[0], used[-1] + 1) if len(used) else slice(0, 0)
            levels = spectrogram(audio, window)
            middle = neighbourhood(levels, NEIGHBOURS)
            heard = middle[:, place] > HEARD_DB
            self._heard[window] = (place, heard)
            self.own.append(_spread((levels - middle)[:, place][heard]))

    def of(self, audio: FloatArray) -> list[float]:
        """Of another sound at the same places, one figure for each of `WINDOWS`, in dB."""
        found = []
        for window, (place, heard) in self._heard.items():
            levels = spectrogram(audio, window)
            found.append(_spread((levels - neighbourhood(levels, NEIGHBOURS))[:, place][heard]))
        return found


def _spread(values: Levels) -> float:
    return float(np.sqrt(np.square(values).mean())) if values.size else float("nan")


def modulation(audio: FloatArray, rate_hz: int, frame_samples: int) -> float:
    """How deeply the envelope above `LOW_HZ` moves at the rate of frames of `frame_samples`: 0 not
    at all, 1 as a sine that reaches zero, more for pulses. NaN for silence."""
    depth = weight = 0.0
    size, hop = FRAMES * frame_samples, FRAMES * frame_samples // 2
    window = hann(size)
    wave = window * np.exp(-2j * np.pi * np.arange(size) / frame_samples)
    for channel in audio:
        envelope = np.abs(_above(channel, rate_hz))
        if len(envelope) < size:
            continue
        parts = sliding_window_view(envelope, size)[::hop]
        depth += 2 * float(np.abs(parts @ wave).sum())
        weight += float((parts @ window).sum())
    return depth / weight if weight > EMPTY else float("nan")


def comb(audio: FloatArray, rate_hz: int, frame_samples: int) -> float:
    """How much of the sound above `LOW_HZ` lies within an eighth of the frame rate of its
    multiples, for frames of `frame_samples`: 1/4 for noise, and for tones on the average; 1 for
    pulses at the frame rate. Each multiple counts the same wherever it is heard, so that loud lows
    do not hide the top. NaN for silence."""
    levels = spectrogram(audio, COMB_FRAMES * frame_samples)
    frame_hz = rate_hz / frame_samples
    first, last = int(np.ceil(LOW_HZ / frame_hz)), int(TOP * rate_hz / 2 / frame_hz)
    if last <= first:
        return float("nan")
    half = COMB_FRAMES // 2
    part = levels[:, first * COMB_FRAMES - half : last * COMB_FRAMES - half]
    power = np.power(10.0, part / 10).reshape(-1, COMB_FRAMES)  # a row for each multiple
    power = power[power.mean(axis=1) > 10 ** (HEARD_DB / 10)]
    if not len(power):
        return float("nan")
    near = power[:, half - COMB_BINS : half + COMB_BINS + 1].sum(axis=1)
    return float((near / power.sum(axis=1)).mean())


def _above(signal: NDArray[Any], rate_hz: int) -> NDArray[np.float64]:
    """What lies above `LOW_HZ`, by an ideal filter."""
    size = len(signal) + rate_hz // 10
    size += -size % 2 ** max(0, size.bit_length() - 4)  # a length that an FFT likes
    spectrum = np.fft.rfft(signal.astype(np.float64), size)
    spectrum[: int(LOW_HZ * size / rate_hz)] = 0
    return np.asarray(np.fft.irfft(spectrum, size)[: len(signal)])


def octaves_hz(rate_hz: int) -> list[float]:
    """Lower ends of the octaves whose levels are compared, all below the Nyquist frequency."""
    return [low for low in 62.5 * 2.0 ** np.arange(10) if 2 * low <= rate_hz / 2]


def octave_levels(levels: Levels, rate_hz: int) -> Levels:
    """Mean power of each octave of a spectrogram, in dB: [octaves]."""
    power = np.power(10.0, levels / 10).mean(axis=0)
    bins = np.arange(levels.shape[1]) * (rate_hz / 2 / (levels.shape[1] - 1))
    return np.array([10 * np.log10(power[(bins >= low) & (bins < 2 * low)].mean() + EMPTY**2)
                     for low in octaves_hz(rate_hz)])


def octave_errors(found: Levels, wanted: Levels) -> Levels:
    """By how much octaves are too loud in dB; NaN where the original is silent."""
    return np.where(wanted > OCTAVE_HEARD_DB, found - wanted, np.nan)
