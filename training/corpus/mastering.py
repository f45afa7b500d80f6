"""From the sum of the stems to a finished loop: tilt, bus compression, saturation, level."""

from __future__ import annotations

import numpy as np

from training.corpus.circle import (
    Audio,
    Spectrum,
    decimated,
    frequencies_hz,
    oversampled,
    through,
)
from training.corpus.filters import highpass, s_plane

PEAK = 10 ** (-1.0 / 20)  # of full scale: headroom for the converter that plays it
BAND_HZ = 45.0  # the lowest octave that is measured and corrected
MOST_DB = 8.0  # the most the tilt correction turns any octave


def _minimum_phase(gain: Audio, samples: int) -> Spectrum:
    """The causal response with this gain [bins]: a correction must not sound before its onset."""
    cepstrum = np.fft.irfft(np.log(np.maximum(gain, 1e-6)), samples)
    fold = np.zeros(samples)
    fold[0] = 1.0
    fold[1 : (samples + 1) // 2] = 2.0
    if samples % 2 == 0:
        fold[samples // 2] = 1.0
    return np.exp(np.fft.rfft(cepstrum * fold)).astype(np.complex128)


def octave_densities_db(mix: Audio, sample_rate_hz: int) -> tuple[Audio, Audio]:
    """Power density of `mix` [channels, samples] per octave: (centres in Hz, decibels)."""
    bins_hz = frequencies_hz(mix.shape[-1], sample_rate_hz)
    power = np.sum(np.abs(np.fft.rfft(mix)) ** 2, axis=0)
    count = int(np.log2(0.45 * sample_rate_hz / BAND_HZ))
    edges = BAND_HZ * 2.0 ** np.arange(count + 1)
    sums, _ = np.histogram(bins_hz, edges, weights=power)
    return edges[:-1] * np.sqrt(2.0), 10 * np.log10(sums / np.diff(edges) + 1e-20)


def tilted(mix: Audio, tilt_db: float, sample_rate_hz: int) -> Audio:
    """`mix` [channels, samples] led part of the way to a spectrum falling `tilt_db` per octave.

    An engineer's equaliser: broad, limited, and shy of octaves that hold nothing but hiss.
    """
    centres_hz, density_db = octave_densities_db(mix, sample_rate_hz)
    octave = np.log2(centres_hz)
    aim_db = tilt_db * (octave - octave.mean())
    # Level among the octaves that carry sound: an empty one must not pull the rest.
    heard = density_db > density_db.max() - 60
    aim_db += np.mean((density_db - aim_db)[heard])
    turn_db = np.clip(0.6 * (aim_db - density_db), -MOST_DB, MOST_DB)
    bins_hz = np.maximum(frequencies_hz(mix.shape[-1], sample_rate_hz), 1.0)
    gain_db = np.interp(np.log2(bins_hz), octave, turn_db)
    return through(mix, _minimum_phase(10 ** (gain_db / 20), mix.shape[-1]))


def compressed(mix: Audio, sample_rate_hz: int) -> Audio:
    """The bus compressor: slow, mild, one gain for all channels so that the picture stands still.

    Its detector is a one-pole follower on the circle, so it has settled before the loop begins.
    """
    bins_hz = frequencies_hz(mix.shape[-1], sample_rate_hz)
    follower = (1.0 / (1.0 + 2j * np.pi * bins_hz * 0.06)).astype(np.complex128)
    power = np.maximum(through(np.mean(mix**2, axis=0), follower), 1e-12)
    over_db = np.maximum(0.0, 10 * np.log10(power / np.mean(power)) - 1.0)
    return np.asarray(mix * 10 ** (-0.4 * over_db / 20))


def crest_db(mix: Audio) -> float:
    """Peak over RMS, in decibels."""
    return float(20 * np.log10(np.abs(mix).max() / np.sqrt(np.mean(mix**2))))


def saturated(mix: Audio, aim_db: float) -> Audio:
    """Driven into a soft ceiling until peaks stand no more than `aim_db` above RMS."""
    mix = mix / np.abs(mix).max()
    low, high = 0.2, 12.0  # drive 0.2 is almost linear
    for _ in range(7):
        drive = float(np.sqrt(low * high))
        if crest_db(np.tanh(drive * mix)) > aim_db:
            low = drive
        else:
            high = drive
    # Twice the rate: the third harmonic of the upper octave lands where it is cut, not below.
    return decimated(np.tanh(high * oversampled(mix, 2)), 2)


def finished(mix: Audio, tilt_db: float, aim_crest_db: float, sample_rate_hz: int) -> Audio:
    """`mix` [channels, samples] as it goes to disk, peak -1 dBFS, no offset."""
    bins_hz = frequencies_hz(mix.shape[-1], sample_rate_hz)
    low_cut = highpass(s_plane(bins_hz, 24.0, sample_rate_hz))  # takes the offset with it
    mix = tilted(through(mix, low_cut), tilt_db, sample_rate_hz)
    mix = saturated(compressed(mix, sample_rate_hz), aim_crest_db)
    mix = mix - mix.mean(axis=-1, keepdims=True)
    return np.asarray(mix * (PEAK / np.abs(mix).max()))
