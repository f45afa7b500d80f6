"""What the tests of corpora measure: levels by octave, and how unlike two sounds are."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Audio = npt.NDArray[np.float64]
LOWEST_HZ = 31.25


def octaves_db(audio: Audio, rate: int, count: int = 9) -> Audio:
    """Share of the power in each octave from 31.25 Hz [count]."""
    power = np.abs(np.fft.rfft(audio)) ** 2
    hz = np.fft.rfftfreq(len(audio), 1 / rate)
    edges = LOWEST_HZ * 2.0 ** np.arange(count)
    shares = [power[(hz >= low) & (hz < 2 * low)].sum() for low in edges]
    return np.asarray(10 * np.log10(np.array(shares) / power.sum() + 1e-9))


def signature(audio: Audio, rate: int, length_s: float, parts: int = 10) -> Audio:
    """Level of 8 octaves in `parts` stretches of the start, in dB, not below -50 [parts * 8]."""
    count = round(length_s * rate)
    second = np.pad(audio, (0, max(0, count - len(audio))))[:count]
    second = second / np.abs(second).max()
    shape = []
    for stretch in np.array_split(second, parts):
        power = np.abs(np.fft.rfft(stretch)) ** 2
        hz = np.fft.rfftfreq(len(stretch), 1 / rate)
        shape += [power[(hz >= low) & (hz < 2 * low)].sum() for low in 62.5 * 2.0 ** np.arange(8)]
    level = 10 * np.log10(np.array(shape) + 1e-12)
    return np.maximum(level - level.max(), -50.0)


def distances_db(sounds: list[Audio], rate: int, length_s: float) -> Audio:
    """From each sound to the one nearest to it: RMS difference of signatures [sounds]."""
    shapes = np.stack([signature(sound, rate, length_s) for sound in sounds])
    apart = np.sqrt(np.mean((shapes[:, None] - shapes[None]) ** 2, axis=-1))
    np.fill_diagonal(apart, np.inf)
    return np.asarray(apart.min(axis=1))


def texture_db(audio: Audio, rate: int) -> float:
    """How much log magnitudes from 1 to 12 kHz fluctuate about their neighbours in frequency, in
    frames of 1024 samples not 40 dB below the loudest: noise has 5, a smooth decay 1 or 2, lines
    more."""
    size, hop = 1024, 256
    starts = range(0, len(audio) - size, hop)
    frames = np.stack([audio[start : start + size] for start in starts]) * np.hanning(size)
    level = 20 * np.log10(np.abs(np.fft.rfft(frames)) + 1e-6)
    loud = level.max(axis=1) > level.max() - 40
    level = level[loud][:, size * 1000 // rate : size * 12000 // rate]
    smooth = np.stack([np.convolve(row, np.ones(9) / 9, "same") for row in level])
    return float(np.std((level - smooth)[:, 8:-8]))
