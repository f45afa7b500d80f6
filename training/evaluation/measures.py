"""How close two sounds are, as numbers. Signals are float32 [channels, samples] of one length."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from engine.hearing.frames import a_weighting
from training.evaluation.onsets import onsets
from training.evaluation.spectra import bins_hz, decibels, magnitudes, mel_power
from training.objectives.losses import spectral_distance

FloatArray = NDArray[np.float32]
MEL_BANDS = 128
MEL_WINDOW = 2048
MEL_HOP = 512
MEL_FLOOR = 1e-5  # mel power below which a band counts as silent, near -100 dB full scale
LEVEL_FLOOR = 1e-10
LOUDNESS_FLOOR = 1e-7
ONSET_TOLERANCE_SECONDS = 0.05
OCTAVE_BANDS = 8


@dataclass(frozen=True)
class Scores:
    """The figures of one sound or, averaged, of many. Lower is better but for the onset F and
    SI-SDR."""

    spectral_distance: float
    log_mel_db: float
    onset_f: float
    level_error_db: float
    loudness_error_db: float
    si_sdr_db: float  # higher is better; only a model that keeps phases can have a high one


class Target:
    """A sound to be matched, with what is worth computing once."""

    def __init__(self, audio: FloatArray, rate_hz: int) -> None:
        self.audio, self.rate_hz = audio, rate_hz
        self._mel = log_mel(audio, rate_hz)
        self._onsets = onsets(audio, rate_hz)
        self._level = level_db(audio)
        self._loudness = loudness_db(audio, rate_hz)

    def compare(self, audio: FloatArray) -> Scores:
        """Scores of `audio`, same shape as the target."""
        with torch.no_grad():
            distance = spectral_distance(torch.from_numpy(audio), torch.from_numpy(self.audio))
        return Scores(
            spectral_distance=float(distance),
            log_mel_db=float(np.abs(log_mel(audio, self.rate_hz) - self._mel).mean()),
            onset_f=onset_f(onsets(audio, self.rate_hz), self._onsets),
            level_error_db=abs(level_db(audio) - self._level),
            loudness_error_db=float(np.abs(loudness_db(audio, self.rate_hz)
                                           - self._loudness).mean()),
            si_sdr_db=si_sdr_db(audio, self.audio),
        )


def log_mel(audio: FloatArray, rate_hz: int) -> FloatArray:
    """Mel power spectrogram in dB with a floor: [channels, bands, frames]."""
    return decibels(mel_power(audio, rate_hz, MEL_WINDOW, MEL_HOP, MEL_BANDS), MEL_FLOOR)


def level_db(audio: FloatArray) -> float:
    """RMS level with a floor at -100 dB."""
    power = float(np.square(audio, dtype=np.float64).mean())
    return 10 * float(np.log10(max(power, LEVEL_FLOOR)))


def loudness_db(audio: FloatArray, rate_hz: int) -> FloatArray:
    """A-weighted level of the mixdown in steps of 512 samples, in dB with a floor at -70: [steps].
    Its error follows the ear's course over time, where the level's is one number for all."""
    power = np.square(magnitudes(audio.mean(axis=0), MEL_WINDOW, MEL_HOP))
    weights = np.square(a_weighting(bins_hz(MEL_WINDOW, rate_hz)))
    total = (power * weights[:, None]).sum(axis=0) / (MEL_WINDOW**2 / 8)
    return decibels(total, LOUDNESS_FLOOR)


def si_sdr_db(audio: FloatArray, target: FloatArray) -> float:
    """Scale-invariant signal-to-distortion ratio within -100 ... 100 dB (Le Roux et al. 2019):
    10 log10(|a t|^2 / |a t - x|^2) with a = <x, t> / <t, t>."""
    x, t = (v.astype(np.float64).ravel() for v in (audio, target))
    scaled = t * (x @ t) / max(float(t @ t), 1e-20)
    signal, noise = float(np.square(scaled).sum()), float(np.square(scaled - x).sum())
    if not signal > 0:
        return -100.0
    return float(np.clip(10 * np.log10(max(signal, 1e-20) / max(noise, 1e-20)), -100, 100))


def onset_f(found: NDArray[np.float64], wanted: NDArray[np.float64]) -> float:
    """F-measure of onset times, each matched once at most; 1 when there are none in either."""
    if not len(found) and not len(wanted):
        return 1.0
    hits = matches(found, wanted, ONSET_TOLERANCE_SECONDS)
    return 2 * hits / (len(found) + len(wanted))


def matches(a: NDArray[np.float64], b: NDArray[np.float64], tolerance: float) -> int:
    """Most pairs of times no further apart than `tolerance`; both ascending.

    On a line, pairing the earliest with the earliest that fits is best."""
    i = j = count = 0
    while i < len(a) and j < len(b):
        if abs(a[i] - b[j]) <= tolerance + 1e-9:
            count, i, j = count + 1, i + 1, j + 1
        elif a[i] < b[j]:
            i += 1
        else:
            j += 1
    return count


def octave_split(audio: NDArray[Any], bands: int = OCTAVE_BANDS) -> NDArray[np.float64]:
    """Octaves below the Nyquist frequency by ideal filters, the lowest down to 0 Hz:
    [bands, channels, samples], which add up to `audio`."""
    spectrum = np.fft.rfft(audio.astype(np.float64))
    place = np.arange(spectrum.shape[-1]) / max(1, spectrum.shape[-1] - 1)  # 1 at Nyquist
    octave = np.minimum(np.floor(-np.log2(np.maximum(place, 1e-12))), bands - 1)
    octave = np.maximum(octave, 0)
    return np.stack([
        np.fft.irfft(np.where(octave == band, spectrum, 0), n=audio.shape[-1])
        for band in range(bands)
    ])


def shaped_noise(audio: FloatArray, frame: int, seed: int = 0) -> FloatArray:
    """Noise with the octave-band envelopes of `audio`, taken in frames of `frame` samples: what a
    listener could rebuild from levels alone."""
    noise = np.random.default_rng(seed).standard_normal(audio.shape)
    total = np.zeros(audio.shape)
    for wanted, carrier in zip(octave_split(audio), octave_split(noise), strict=True):
        gain = _envelope(wanted, frame) / np.maximum(np.sqrt(np.square(carrier).mean()), 1e-12)
        total += carrier * gain
    return total.astype(np.float32)


def _envelope(band: NDArray[np.float64], frame: int) -> NDArray[np.float64]:
    """RMS per frame, drawn through the frames' centres as straight lines: [channels, samples]."""
    samples = band.shape[-1]
    starts = np.arange(0, samples, frame)
    counts = np.minimum(frame, samples - starts)
    power = np.add.reduceat(np.square(band), starts, axis=-1) / counts
    centres = starts + counts / 2
    return np.stack([
        np.interp(np.arange(samples) + 0.5, centres, row) for row in np.sqrt(power)
    ])


def plain(value: float | None) -> float | None:
    """None for what is no number, which JSON could not say."""
    return None if value is None or not np.isfinite(value) else float(value)
