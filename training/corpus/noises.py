"""Long sounds made of noise: the rumble under the kick, and the texture behind everything."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.corpus.circle import Audio, add, frequencies_hz, through, wrap
from training.corpus.draw import between, log_between, pick
from training.corpus.filters import bandpass, highpass, lowpass, s_plane
from training.corpus.oscillators import decay, normal, seconds
from training.corpus.patterns import Clock, Hit


@dataclass(frozen=True)
class Rumble:
    """The kick sent into a dark room, overdriven: the floor of hard techno."""

    room_s: float
    cutoff_hz: float
    q: float
    late_steps: float
    drive_db: float


def draw_rumble(rng: np.random.Generator) -> Rumble:
    """Rooms of half a second, filtered to the lowest octaves."""
    return Rumble(log_between(rng, 0.3, 1.0), log_between(rng, 75, 190), between(rng, 0.7, 1.8),
                  pick(rng, (0.5, 1.0, 1.0, 2.0)), between(rng, 0, 15))


def rumble(spec: Rumble, hits: list[Hit], clock: Clock, noise: np.random.Generator) -> Audio:
    """What the strokes of the kick leave behind [clock.samples], peak 1."""
    rate = clock.sample_rate_hz
    struck = np.zeros(clock.samples)
    for hit in hits:
        struck[clock.at(hit.step + spec.late_steps)] += hit.velocity
    time_s = seconds(spec.room_s, rate)
    room = wrap(noise.standard_normal(len(time_s)) * decay(time_s, spec.room_s), clock.samples)
    s = s_plane(frequencies_hz(clock.samples, rate), spec.cutoff_hz, rate)
    tone = lowpass(s, spec.q) * lowpass(s) * highpass(s * (spec.cutoff_hz / 32.0))
    wet = normal(through(struck, np.fft.rfft(room) * tone))
    return normal(np.tanh(10 ** (spec.drive_db / 20) * wet))


@dataclass(frozen=True)
class Texture:
    """Wind, tape, a room tone, crackle, or a rising sweep across the loop."""

    kind: str
    centre_hz: float
    q: float
    depth: float
    cycles: int


def draw_texture(rng: np.random.Generator) -> Texture:
    """Any colour; whole cycles of movement, so that the loop closes."""
    return Texture(pick(rng, ("wind", "wind", "hiss", "crackle", "gated")),
                   log_between(rng, 180, 4000), log_between(rng, 0.5, 6), between(rng, 0.2, 1),
                   int(rng.integers(1, 5)))


def texture(spec: Texture, hits: list[Hit], clock: Clock, noise: np.random.Generator) -> Audio:
    """Noise around the loop [clock.samples], peak 1."""
    rate, samples = clock.sample_rate_hz, clock.samples
    turn = np.arange(samples) / samples
    s = s_plane(frequencies_hz(samples, rate), spec.centre_hz, rate)
    if spec.kind == "crackle":
        sound = np.zeros(samples)
        count = int(12 * samples / rate) + 1
        for place, size in zip(noise.random(count), noise.standard_normal(count), strict=True):
            sound[int(place * samples)] += size**3  # few large clicks, many small ones
        return normal(through(sound, bandpass(s, 0.7)))
    grain = noise.standard_normal(samples)
    if spec.kind == "hiss":
        return normal(through(grain, highpass(s, 0.7)))
    sound = through(grain, bandpass(s, spec.q))
    if spec.kind == "gated":
        gate = np.zeros(samples)
        width = round(0.6 * clock.step_s * rate)
        edge = np.sin(np.pi * np.arange(width) / width) ** 0.5
        for hit in hits:
            add(gate, clock.at(hit.step), edge, hit.velocity)
        return normal(sound * gate)
    swell = 1.0 - spec.depth * (0.5 + 0.5 * np.cos(2 * np.pi * spec.cycles * turn))
    return normal(sound * swell)
