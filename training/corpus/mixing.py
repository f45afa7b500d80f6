"""Ducking, echo, room and stereo placement, all on the circle."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.corpus.circle import Audio, Spectrum, frequencies_hz, through, wrap
from training.corpus.draw import between, log_between, pick
from training.corpus.filters import highpass, lowpass, s_plane
from training.corpus.oscillators import decay, seconds
from training.corpus.patterns import Clock


def ducking(starts: list[int], samples: int, depth: float, release_samples: int) -> Audio:
    """Gain [samples] that the kick presses on what lies around it, as a compressor would."""
    gain = np.ones(samples)
    length = min(samples, release_samples)
    back = np.arange(length) / release_samples
    dip = 1.0 - depth * (1.0 - back) ** 1.5
    down = min(length, max(1, release_samples // 60))  # a few ms, or the corner would click
    dip[:down] = 1.0 + (dip[:down] - 1.0) * (np.arange(down) / down)
    for start in starts:
        places = (start + np.arange(length)) % samples
        gain[places] = np.minimum(gain[places], dip)
    return gain


@dataclass(frozen=True)
class Space:
    """The echo and the room that a whole loop shares."""

    room_s: float
    room_low_hz: float
    room_high_hz: float
    pre_ms: float
    echo_steps: float
    echo_feedback: float
    echo_low_hz: float
    echo_high_hz: float


def draw_space(rng: np.random.Generator) -> Space:
    """From a cupboard to a hall; echoes of two to four steps, and triplets."""
    return Space(
        room_s=log_between(rng, 0.25, 2.8),
        room_low_hz=log_between(rng, 120, 500),
        room_high_hz=log_between(rng, 2500, 9000),
        pre_ms=between(rng, 0, 30),
        echo_steps=pick(rng, (2.0, 3.0, 3.0, 3.0, 4.0, 1.5, 8.0 / 3.0, 1.0)),
        echo_feedback=between(rng, 0.2, 0.8),
        echo_low_hz=log_between(rng, 150, 700),
        echo_high_hz=log_between(rng, 1200, 6000),
    )


def _band(bins_hz: Audio, low_hz: float, high_hz: float, rate: int) -> Spectrum:
    """A gentle band that passes nothing louder than it came."""
    return highpass(s_plane(bins_hz, low_hz, rate)) * lowpass(s_plane(bins_hz, high_hz, rate))


def echo_response(space: Space, clock: Clock, side: float = 0.0) -> Spectrum:
    """All repeats at once: d + d² + d³ + … = d / (1 - d), d one pass of the tape [bins]."""
    bins_hz = frequencies_hz(clock.samples, clock.sample_rate_hz)
    band = _band(bins_hz, space.echo_low_hz, space.echo_high_hz, clock.sample_rate_hz)
    late_s = space.echo_steps * clock.step_s * (1.0 + 0.02 * side)
    once = band * np.exp(-2j * np.pi * bins_hz * late_s)
    return np.asarray(once / (1.0 - space.echo_feedback * once))


def room_response(space: Space, clock: Clock, noise: np.random.Generator) -> Spectrum:
    """Decaying noise, folded onto the circle: the room has been sounding forever [bins]."""
    rate = clock.sample_rate_hz
    time_s = seconds(space.room_s, rate)
    tail = noise.standard_normal(len(time_s)) * decay(time_s, space.room_s)
    tail /= np.sqrt(np.sum(tail**2))
    bins_hz = frequencies_hz(clock.samples, rate)
    band = _band(bins_hz, space.room_low_hz, space.room_high_hz, rate)
    early = np.exp(-2j * np.pi * bins_hz * space.pre_ms / 1000)
    return np.asarray(np.fft.rfft(wrap(tail, clock.samples)) * band * early)


def placed(sound: Audio, pan: float, width: float, channels: int, wide: Spectrum) -> Audio:
    """A stem [samples] in the picture [channels, samples].

    Width adds to one side what it takes from the other (`wide` scatters the phases of what lies
    above the bass), so that the sum of both sides, the mono mix, does not change colour.
    """
    if channels == 1:
        return sound[None]
    angle = 0.25 * np.pi * (1.0 + pan)
    sides = np.sqrt(2.0) * np.array([[np.cos(angle)], [np.sin(angle)]]) * sound
    if width > 0.0:
        scattered = width * through(sound, wide)
        sides += np.stack([scattered, -scattered])
    return np.asarray(sides)


def scatter(clock: Clock, noise: np.random.Generator) -> Spectrum:
    """A short diffuse response for `placed`, silent below 200 Hz: bass stays in the middle."""
    rate = clock.sample_rate_hz
    time_s = seconds(0.02, rate)
    tail = noise.standard_normal(len(time_s)) * decay(time_s, 0.02)
    tail /= np.sqrt(np.sum(tail**2))
    high = highpass(s_plane(frequencies_hz(clock.samples, rate), 200.0, rate))
    return np.asarray(np.fft.rfft(wrap(tail, clock.samples)) * high * high)
