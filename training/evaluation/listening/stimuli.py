"""What is done to sounds before people compare them: anchors, equal loudness, room for peaks.

Sounds are float32 [channels, samples].
"""

from __future__ import annotations

from math import pi, tan

import numpy as np
from numpy.typing import NDArray
from scipy.signal import fftconvolve, firwin, kaiserord, sosfilt

FloatArray = NDArray[np.float32]
LOW_HZ, MID_HZ = 3500.0, 7000.0  # of the anchors of ITU-R BS.1534
TRANSITION_HZ, STOP_DB = 500.0, 60.0  # asked for: 25 dB at 4 kHz, 50 dB at 4.5 kHz
MOST_PEAK = 0.891  # -1 dBFS: converters overshoot between samples
MOST_GAIN_DB = 20.0  # what is almost silent is not blown up to be noise
FADE_SECONDS = 0.01
BLOCK_SECONDS, HOP = 0.4, 4  # of loudness, and hops in a block
GATE_ABSOLUTE_DB, GATE_RELATIVE_DB = -70.0, -10.0


def low_pass(audio: FloatArray, rate_hz: int, cutoff_hz: float) -> FloatArray:
    """Flat up to the cutoff and steep above; nothing is delayed. Above the rate's reach it changes
    nothing."""
    if cutoff_hz + TRANSITION_HZ >= rate_hz / 2:
        return audio
    size, beta = kaiserord(STOP_DB, TRANSITION_HZ / (rate_hz / 2))
    taps = firwin(size | 1, cutoff_hz + TRANSITION_HZ / 2, window=("kaiser", beta), fs=rate_hz)
    half = len(taps) // 2
    padded = np.pad(audio.astype(np.float64), ((0, 0), (half, half)))
    return fftconvolve(padded, taps[None], mode="valid", axes=1).astype(np.float32)


def k_weighting(rate_hz: int) -> NDArray[np.float64]:
    """The two sections of ITU-R BS.1770 at any rate: those of 48 kHz, taken back to their analogue
    filters."""
    f0, q, k = 1681.974450955533, 0.7071752369554196, 0.0
    k, high = tan(pi * f0 / rate_hz), 10 ** (3.999843853973347 / 20)
    band, a0 = high**0.4996667741545416, 1 + k / q + k * k
    shelf = [(high + band * k / q + k * k) / a0, 2 * (k * k - high) / a0,
             (high - band * k / q + k * k) / a0,
             1.0, 2 * (k * k - 1) / a0, (1 - k / q + k * k) / a0]
    f0, q = 38.13547087602444, 0.5003270373238773
    k = tan(pi * f0 / rate_hz)
    a0 = 1 + k / q + k * k
    return np.array([shelf, [1.0, -2.0, 1.0, 1.0, 2 * (k * k - 1) / a0, (1 - k / q + k * k) / a0]])


def loudness_db(audio: FloatArray, rate_hz: int) -> float:
    """Integrated loudness of ITU-R BS.1770 in LUFS, all channels counting the same; -inf for what
    the absolute gate leaves nothing of. What is shorter than a block is one block."""
    size = min(audio.shape[1], round(BLOCK_SECONDS * rate_hz))
    if not size:
        return -np.inf
    power = np.square(sosfilt(k_weighting(rate_hz), audio.astype(np.float64), axis=1)).sum(axis=0)
    total = np.concatenate(([0.0], np.cumsum(power)))
    starts = np.arange(0, len(power) - size + 1, max(1, size // HOP))
    blocks = (total[starts + size] - total[starts]) / size
    kept = blocks[_db(blocks) > GATE_ABSOLUTE_DB]
    if not len(kept):
        return -np.inf
    kept = kept[_db(kept) > _db(kept.mean()) + GATE_RELATIVE_DB]
    return float(_db(kept.mean()))


def _db(power: NDArray[np.float64]) -> NDArray[np.float64]:
    return -0.691 + 10 * np.log10(np.maximum(power, 1e-20))


def as_loud(
    sounds: dict[str, FloatArray], reference: FloatArray, rate_hz: int
) -> tuple[dict[str, FloatArray], dict[str, float]]:
    """The sounds as loud as the reference, and by how many dB each was changed. If one of them
    would clip, all are quieter by as much."""
    wanted = loudness_db(reference, rate_hz)
    gains: dict[str, float] = {}
    for name, sound in sounds.items():
        change = wanted - loudness_db(sound, rate_hz)
        gains[name] = float(np.clip(change, -MOST_GAIN_DB, MOST_GAIN_DB)) if np.isfinite(
            change) else 0.0
    loud = {name: sound * np.float32(10 ** (gains[name] / 20)) for name, sound in sounds.items()}
    peak = max(float(np.abs(sound).max(initial=0)) for sound in loud.values())
    room = np.float32(min(1.0, MOST_PEAK / max(peak, 1e-9)))
    return {name: sound * room for name, sound in loud.items()}, gains


def faded(audio: FloatArray, rate_hz: int) -> FloatArray:
    """Without clicks where it begins, ends and is repeated."""
    size = min(round(FADE_SECONDS * rate_hz), audio.shape[1] // 2)
    slope = (0.5 - 0.5 * np.cos(pi * (np.arange(size) + 0.5) / max(size, 1))).astype(np.float32)
    gain = np.ones(audio.shape[1], np.float32)
    gain[:size], gain[audio.shape[1] - size :] = slope, slope[::-1]
    return audio * gain


def loudest(audio: FloatArray, size: int, step: int) -> int:
    """Where the stretch of `size` samples with the most power begins; places are `step` apart."""
    power = np.concatenate(([0.0], np.cumsum(np.square(audio, dtype=np.float64).sum(axis=0))))
    starts = np.arange(0, max(1, audio.shape[1] - size + 1), max(1, step))
    return int(starts[np.argmax(power[np.minimum(starts + size, audio.shape[1])] - power[starts])])
