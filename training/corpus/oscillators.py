"""Band-limited oscillators (one wavetable per number of harmonics), noise and envelopes."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from training.corpus.circle import Audio

HIGHEST = 0.46  # of the sample rate: no harmonic is written above, so none folds down


def note_hz(pitch: float) -> float:
    """Frequency of a MIDI pitch (69 is 440 Hz)."""
    return float(440.0 * 2.0 ** ((pitch - 69.0) / 12.0))


@lru_cache(maxsize=512)
def _table(wave: str, harmonics: int) -> Audio:
    """One period of a wave made of its first harmonics [size + 1, the last repeats the first].

    Eight points per period of the highest harmonic keep the error of reading between the points
    by a straight line below the 1 / k that this harmonic weighs.
    """
    size = max(256, 1 << (8 * harmonics - 1).bit_length())
    order = np.arange(1, harmonics + 1)
    if wave == "saw":
        weight = 1.0 / order
    elif wave == "square":
        weight = np.where(order % 2 == 1, 1.0 / order, 0.0)
    elif wave == "pulse":  # one quarter high: every fourth harmonic is missing
        weight = np.sin(np.pi * order / 4) / order
    elif wave == "triangle":
        weight = np.where(order % 2 == 1, np.sin(np.pi * order / 2) / order**2, 0.0)
    elif wave == "organ":  # drawbars: octaves and one fifth
        weight = np.select([order == 1, order == 2, order == 3, order == 4, order == 8],
                           [1.0, 0.7, 0.35, 0.4, 0.25], 0.0)
    else:
        weight = np.where(order == 1, 1.0, 0.0)  # a sine
    spectrum = np.zeros(size // 2 + 1, dtype=np.complex128)
    spectrum[1 : harmonics + 1] = -1j * weight
    period = normal(np.fft.irfft(spectrum, size).astype(np.float64))
    return np.append(period, period[0])


def oscillate(
    wave: str, frequency_hz: Audio | float, samples: int, sample_rate_hz: int, phase: float = 0.0
) -> Audio:
    """A wave [samples] at a fixed or moving frequency [samples], `phase` in periods."""
    highest_hz = float(np.max(frequency_hz))
    allowed = int(HIGHEST * sample_rate_hz / highest_hz)
    if allowed < 1:
        return np.zeros(samples)
    # Rounded down to a sixth of an octave, so that notes share tables.
    harmonics = int(2.0 ** (np.floor(6.0 * np.log2(allowed) + 1e-9) / 6.0) + 1e-6)
    table = _table(wave, max(1, harmonics))
    if isinstance(frequency_hz, np.ndarray):
        turns = np.cumsum(frequency_hz) / sample_rate_hz
        turns += phase - turns[0]
    else:
        turns = phase + np.arange(samples, dtype=np.float64) * (frequency_hz / sample_rate_hz)
    place = (turns - np.floor(turns)) * (len(table) - 1)
    left = np.minimum(place.astype(np.int64), len(table) - 2)
    return np.asarray(table[left] + (place - left) * (table[left + 1] - table[left]))


def seconds(duration_s: float, sample_rate_hz: int) -> Audio:
    """Time of each sample of a sound of that duration, in seconds [samples]."""
    return np.arange(max(16, round(duration_s * sample_rate_hz))) / sample_rate_hz


def decay(time_s: Audio, to_60_db_s: float) -> Audio:
    """An exponential decay that has lost 60 dB after `to_60_db_s`."""
    return np.asarray(np.exp(time_s * (-6.9078 / to_60_db_s)))


def faded(sound: Audio, sample_rate_hz: int, attack_s: float = 0.0, fade_s: float = 0.005) -> Audio:
    """`sound` with a raised-cosine start and end: a step would be a click at every pitch."""
    out = sound.copy()
    rise = min(len(out) // 2, round(attack_s * sample_rate_hz))
    fall = min(len(out) // 2, max(1, round(fade_s * sample_rate_hz)))
    if rise > 0:
        out[:rise] *= 0.5 - 0.5 * np.cos(np.pi * np.arange(rise) / rise)
    out[-fall:] *= 0.5 + 0.5 * np.cos(np.pi * np.arange(fall) / fall)
    return out


def normal(sound: Audio) -> Audio:
    """`sound` at peak 1 (silence stays silence)."""
    peak = float(np.abs(sound).max())
    return sound / peak if peak > 0.0 else sound
