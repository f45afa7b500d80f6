"""Hats, rides, shakers, rims, skins, bells and blips: what moves on top of the beat."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.corpus.circle import Audio
from training.corpus.draw import between, chance, log_between, pick
from training.corpus.filters import shape
from training.corpus.oscillators import decay, faded, normal, oscillate, seconds

# Ratios of the six squares of an analogue cymbal: no two share a harmonic, so it never has a pitch.
CYMBAL_RATIOS = (1.0, 1.342, 1.481, 1.696, 2.079, 2.634)


@dataclass(frozen=True)
class Metal:
    """Hats and rides: a cluster of squares and noise, high-passed, decaying."""

    metal: float  # 0 is noise, 1 is the cluster
    base_hz: float
    highpass_hz: float
    q: float
    decay_ms: float
    attack_ms: float


def _draw_metal(rng: np.random.Generator, low_hz: float, short_ms: float, long_ms: float) -> Metal:
    return Metal(
        metal=between(rng, 0, 1) if chance(rng, 0.75) else 0.0,
        base_hz=log_between(rng, 210, 640),
        highpass_hz=log_between(rng, low_hz, 2.1 * low_hz),
        q=between(rng, 0.7, 2.0),
        decay_ms=log_between(rng, short_ms, long_ms),
        attack_ms=between(rng, 0.2, 0.8),
    )


def draw_closed_hat(rng: np.random.Generator) -> Metal:
    """Ticks of 25 to 120 ms."""
    return _draw_metal(rng, 3000, 25, 120)


def draw_open_hat(rng: np.random.Generator) -> Metal:
    """Splashes of 160 to 600 ms."""
    return _draw_metal(rng, 2700, 160, 600)


def draw_ride(rng: np.random.Generator) -> Metal:
    """Lower and longer than any hat."""
    return _draw_metal(rng, 2000, 500, 1500)


def draw_shaker(rng: np.random.Generator) -> Metal:
    """Noise that swells: beads need a moment to reach the wall."""
    return Metal(0.0, 400.0, log_between(rng, 2500, 5000), between(rng, 0.7, 1.5),
                 log_between(rng, 50, 140), between(rng, 2, 6))


def metal(spec: Metal, sample_rate_hz: int, noise: np.random.Generator) -> Audio:
    """One hit [samples], peak 1."""
    time_s = seconds(spec.decay_ms / 1000, sample_rate_hz)
    phases = noise.random(len(CYMBAL_RATIOS))  # drawn before the noise: the same at every rate
    sound = (1.0 - spec.metal) * noise.standard_normal(len(time_s))
    if spec.metal > 0.0:
        for ratio, phase in zip(CYMBAL_RATIOS, phases, strict=True):
            square = oscillate("square", ratio * spec.base_hz, len(time_s), sample_rate_hz, phase)
            sound += 0.6 * spec.metal * square
    highest_hz = min(spec.highpass_hz, 0.3 * sample_rate_hz)
    stages = ("highpass", highest_hz, spec.q), ("highpass", 0.6 * highest_hz, 0.7)
    sound = shape(sound, sample_rate_hz, *stages, ("lowpass", 13000.0, 0.7))
    sound *= decay(time_s, spec.decay_ms / 1000)
    return normal(faded(sound, sample_rate_hz, spec.attack_ms / 1000, 0.004))


@dataclass(frozen=True)
class Skin:
    """Toms, congas, bongos, rims: two modes, a bend, a touch of noise."""

    tune_hz: float
    bend: float  # how much sharper it starts
    bend_ms: float
    decay_ms: float
    second_ratio: float
    second: float
    noise: float


def draw_tom(rng: np.random.Generator) -> Skin:
    """Low and bending."""
    return Skin(log_between(rng, 75, 190), between(rng, 0.2, 1.2), between(rng, 15, 60),
                log_between(rng, 140, 500), between(rng, 1.5, 1.7), between(rng, 0, 0.4),
                between(rng, 0, 0.25))


def draw_conga(rng: np.random.Generator) -> Skin:
    """Higher, hardly bending."""
    return Skin(log_between(rng, 180, 480), between(rng, 0.02, 0.25), between(rng, 8, 30),
                log_between(rng, 70, 300), between(rng, 1.7, 2.4), between(rng, 0.1, 0.5),
                between(rng, 0, 0.3))


def draw_rim(rng: np.random.Generator) -> Skin:
    """Wood: two short high modes."""
    return Skin(log_between(rng, 420, 1000), 0.0, 5.0, log_between(rng, 25, 90),
                between(rng, 2.6, 3.9), between(rng, 0.5, 1.0), between(rng, 0.1, 0.6))


def skin(spec: Skin, sample_rate_hz: int, noise: np.random.Generator) -> Audio:
    """One hit [samples], peak 1."""
    time_s = seconds(1.1 * spec.decay_ms / 1000, sample_rate_hz)
    bend_s = spec.bend_ms / 1000
    turns = spec.tune_hz * (time_s + spec.bend * bend_s * (1 - np.exp(-time_s / bend_s)))
    sound = np.sin(2 * np.pi * turns) * decay(time_s, spec.decay_ms / 1000)
    second = np.sin(2 * np.pi * spec.second_ratio * turns) * decay(time_s, spec.decay_ms / 1600)
    strike = noise.standard_normal(len(time_s)) * decay(time_s, 0.02)
    strike = normal(shape(strike, sample_rate_hz, ("bandpass", 6.0 * spec.tune_hz, 0.6)))
    mixed = sound + spec.second * second + spec.noise * strike
    return normal(faded(mixed, sample_rate_hz, 0.0004, 0.004))


@dataclass(frozen=True)
class Bell:
    """Cowbells and blips: two band-limited waves, or one bent by another."""

    wave: str  # "square" (cowbell), "fm" or "zap"
    tune_hz: float
    ratio: float
    index: float
    decay_ms: float
    q: float


def draw_cowbell(rng: np.random.Generator) -> Bell:
    """Two squares a wide fifth apart."""
    return Bell("square", log_between(rng, 450, 800), between(rng, 1.42, 1.56), 0.0,
                log_between(rng, 80, 350), between(rng, 1.0, 3.0))


def draw_blip(rng: np.random.Generator) -> Bell:
    """Modular chatter: bells of any ratio, falling zaps."""
    return Bell(pick(rng, ("fm", "zap")), log_between(rng, 220, 1800), between(rng, 0.4, 5.3),
                between(rng, 0.3, 4.0), log_between(rng, 25, 240), between(rng, 0.7, 2.0))


def bell(spec: Bell, sample_rate_hz: int, noise: np.random.Generator) -> Audio:
    """One hit [samples], peak 1."""
    time_s = seconds(spec.decay_ms / 1000, sample_rate_hz)
    level = decay(time_s, spec.decay_ms / 1000)
    start = float(noise.random())
    if spec.wave == "square":
        sound = oscillate("square", spec.tune_hz, len(time_s), sample_rate_hz, start)
        sound += oscillate("square", spec.ratio * spec.tune_hz, len(time_s), sample_rate_hz)
        sound = shape(sound, sample_rate_hz, ("bandpass", 1.6 * spec.tune_hz, spec.q))
    elif spec.wave == "zap":
        fall_hz = spec.tune_hz * (0.3 + spec.index * np.exp(-time_s / 0.012))
        sound = oscillate("triangle", np.minimum(fall_hz, 6000.0), len(time_s), sample_rate_hz)
    else:
        # Sidebands reach about tune * (1 + ratio * (index + 1)): bent less where that would fold.
        room = (0.45 * sample_rate_hz / spec.tune_hz - 1.0) / spec.ratio - 1.0
        index = max(0.0, min(spec.index, room)) * level
        bend = index * np.sin(2 * np.pi * spec.ratio * spec.tune_hz * time_s)
        sound = np.sin(2 * np.pi * spec.tune_hz * time_s + bend)
    return normal(faded(sound * level, sample_rate_hz, 0.0005, 0.004))
