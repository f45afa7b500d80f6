"""Filter responses, and the one filter whose cutoff moves."""

from __future__ import annotations

import numpy as np

from training.corpus.circle import Audio, Spectrum, frequencies_hz

HOP_S = 0.003  # how often a moving cutoff is looked at: faster than any envelope here
RING_S = 0.075  # how long a resonant filter may ring on after its input has gone
STEPS_PER_OCTAVE = 24  # cutoffs are rounded to a quarter tone, which no ear can tell


def audible_hz(frequency_hz: Audio | float, sample_rate_hz: int) -> Audio:
    """A cutoff kept inside what this sample rate can hold."""
    return np.clip(np.asarray(frequency_hz, dtype=np.float64), 10.0, 0.45 * sample_rate_hz)


def s_plane(bins_hz: Audio, cutoff_hz: Audio | float, sample_rate_hz: int) -> Spectrum:
    """Where the bins lie on the axis of an analogue filter whose cutoff is 1.

    The tangents are the bilinear transform: the response is that of a causal, stable recursion,
    so nothing sounds before its onset. cutoff_hz [..., 1] against bins_hz [bins].
    """
    bins = np.minimum(bins_hz, 0.49999 * sample_rate_hz)
    cutoff = np.tan(np.pi * audible_hz(cutoff_hz, sample_rate_hz) / sample_rate_hz)
    return np.asarray(1j * np.tan(np.pi * bins / sample_rate_hz) / cutoff)


def lowpass(s: Spectrum, q: float = 0.7071) -> Spectrum:
    """Two poles; the gain at the cutoff is q."""
    return np.asarray(1.0 / (s * s + s / q + 1.0))


def highpass(s: Spectrum, q: float = 0.7071) -> Spectrum:
    """Two poles; the gain at the cutoff is q."""
    return np.asarray(s * s / (s * s + s / q + 1.0))


def bandpass(s: Spectrum, q: float) -> Spectrum:
    """Two poles, gain 1 at the centre, cutoff / q wide."""
    return np.asarray((s / q) / (s * s + s / q + 1.0))


def ladder(s: Spectrum, resonance: float) -> Spectrum:
    """Four equal poles inside a feedback loop; at resonance 4 it would whistle by itself.

    Feedback takes bass away (1 / (1 + resonance)), as in the instrument; half of that is given
    back, in decibels, so that turning the knob changes the colour more than the level.
    """
    return np.asarray(np.sqrt(1.0 + resonance) / ((1.0 + s) ** 4 + resonance))


def shape(sound: Audio, sample_rate_hz: int, *stages: tuple[str, float, float]) -> Audio:
    """`sound` [samples] through fixed stages (kind, cutoff in Hz, q), keeping its length.

    Padding to twice the length leaves the filter's ringing room, so that it does not come back
    at the start of a sound that is no loop.
    """
    kinds = {"lowpass": lowpass, "highpass": highpass, "bandpass": bandpass}
    size = 1 << (2 * len(sound) - 1).bit_length()
    bins = frequencies_hz(size, sample_rate_hz)
    spectrum = np.fft.rfft(sound, size)
    for kind, cutoff_hz, q in stages:
        spectrum *= kinds[kind](s_plane(bins, cutoff_hz, sample_rate_hz), q)
    return np.asarray(np.fft.irfft(spectrum, size)[: len(sound)], dtype=np.float64)


def hop_samples(sample_rate_hz: int) -> int:
    """Samples between two looks at a moving cutoff."""
    return max(8, round(HOP_S * sample_rate_hz))


def frame_times_s(samples: int, sample_rate_hz: int) -> Audio:
    """When `swept` looks at the cutoff, for a sound of so many samples [frames]."""
    hop = hop_samples(sample_rate_hz)
    return np.arange(-(-samples // hop) + 1, dtype=np.float64) * (hop / sample_rate_hz)


def swept(
    sound: Audio, cutoff_hz: Audio, resonance: float, sample_rate_hz: int, kind: str = "ladder"
) -> Audio:
    """`sound` [samples] through a filter with a moving cutoff [frames]: [samples + ringing].

    The input is cross-faded between fixed filters rather than one filter being bent: triangular
    windows that add up to 1 cut it into segments, each rings through its own response, and the
    results are added. No resonance can make it unstable, and it is a few transforms, not a loop.
    """
    hop = hop_samples(sample_rate_hz)
    frames = len(frame_times_s(len(sound), sample_rate_hz))
    blocks = 2 + -(-round(RING_S * sample_rate_hz) // hop)
    size = blocks * hop
    padded = np.zeros((frames + 1) * hop)
    padded[hop : hop + len(sound)] = sound
    rows = padded.reshape(frames + 1, hop)
    rise = np.arange(hop) / hop
    segments = np.concatenate([rows[:-1] * rise, rows[1:] * (1.0 - rise)], axis=1)

    live = np.flatnonzero(np.abs(segments).max(axis=1) > 1e-7)  # silence needs no filter
    note = np.log2(audible_hz(cutoff_hz, sample_rate_hz)[live]) * STEPS_PER_OCTAVE
    notes, which = np.unique(np.round(note), return_inverse=True)
    bins = frequencies_hz(size, sample_rate_hz)
    s = s_plane(bins, 2.0 ** (notes[:, None] / STEPS_PER_OCTAVE), sample_rate_hz)
    bank = ladder(s, resonance) if kind == "ladder" else lowpass(s, 0.6 + resonance)
    wet = np.fft.irfft(np.fft.rfft(segments[live], size) * bank[which.reshape(-1)], size)

    out = np.zeros((frames + blocks, hop))
    for block in range(blocks):  # rows of `live` are distinct, so the indexed addition is safe
        out[live + block] += wet[:, block * hop : (block + 1) * hop]
    return out.reshape(-1)[hop:]  # the first hop precedes the sound: the filter is causal
