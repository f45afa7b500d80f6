"""Kick, snare and clap: what the beat stands on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.corpus.circle import Audio
from training.corpus.draw import between, chance, log_between, pick
from training.corpus.filters import shape
from training.corpus.oscillators import decay, faded, normal, seconds


@dataclass(frozen=True)
class Kick:
    """A sine whose pitch falls as a struck skin relaxes, a click for the beater, and overdrive."""

    tune_hz: float
    sweep_hz: float  # how far above the tune the fall starts
    sweep_ms: float
    snap_hz: float  # a second, much faster fall: the beater
    decay_ms: float
    punch_ms: float  # held at full level before the decay
    drive_db: float
    click: float
    click_hz: float


def draw_kick(rng: np.random.Generator) -> Kick:
    """From a dry, short tick to a distorted boom."""
    return Kick(
        tune_hz=between(rng, 41, 64),
        sweep_hz=log_between(rng, 60, 480),
        sweep_ms=log_between(rng, 9, 55),
        snap_hz=log_between(rng, 200, 3000) if chance(rng, 0.7) else 0.0,
        decay_ms=log_between(rng, 160, 750),
        punch_ms=between(rng, 0, 50),
        drive_db=between(rng, 0, 22) if chance(rng, 0.6) else 0.0,
        click=between(rng, 0.02, 0.5),
        click_hz=log_between(rng, 900, 5000),
    )


def kick(spec: Kick, sample_rate_hz: int, noise: np.random.Generator) -> Audio:
    """One hit [samples], peak 1."""
    time_s = seconds((spec.punch_ms + spec.decay_ms) / 1000, sample_rate_hz)
    sweep_s, snap_s = spec.sweep_ms / 1000, 0.003
    # The phase is the integral of tune + sweep * exp(-t / sweep_s) + snap * exp(-t / snap_s).
    turns = (
        spec.tune_hz * time_s
        + spec.sweep_hz * sweep_s * (1 - np.exp(-time_s / sweep_s))
        + spec.snap_hz * snap_s * (1 - np.exp(-time_s / snap_s))
    )
    level = decay(np.maximum(0.0, time_s - spec.punch_ms / 1000), spec.decay_ms / 1000)
    body = np.sin(2 * np.pi * turns) * level
    gain = 10 ** (spec.drive_db / 20)
    if gain > 1.0:
        body = np.tanh(gain * body) / np.tanh(gain)
    burst = noise.standard_normal(len(time_s)) * decay(time_s, 0.012)
    stages = ("highpass", spec.click_hz * 0.6, 0.7), ("lowpass", spec.click_hz * 1.8, 0.9)
    click = normal(shape(burst, sample_rate_hz, *stages))
    return normal(faded(body + spec.click * click, sample_rate_hz, attack_s=0.0004, fade_s=0.02))


@dataclass(frozen=True)
class Snare:
    """Two modes of the skin, and the wires below it as noise."""

    tune_hz: float
    tone_ms: float
    noise: float
    noise_ms: float
    noise_hz: float
    drive_db: float


def draw_snare(rng: np.random.Generator) -> Snare:
    """From a tight electronic tick to a noisy gated hit."""
    return Snare(
        tune_hz=log_between(rng, 140, 290),
        tone_ms=log_between(rng, 60, 220),
        noise=between(rng, 0.5, 1.3),
        noise_ms=log_between(rng, 90, 380),
        noise_hz=log_between(rng, 900, 3500),
        drive_db=between(rng, 0, 12),
    )


def snare(spec: Snare, sample_rate_hz: int, noise: np.random.Generator) -> Audio:
    """One hit [samples], peak 1."""
    time_s = seconds(max(spec.tone_ms, spec.noise_ms) / 1000, sample_rate_hz)
    bend = 0.004 * (1 - np.exp(-time_s / 0.008))  # struck skins start sharp
    skin = np.sin(2 * np.pi * spec.tune_hz * (time_s + bend))
    skin += 0.6 * np.sin(2 * np.pi * 1.59 * spec.tune_hz * (time_s + bend))  # second mode
    skin *= decay(time_s, spec.tone_ms / 1000)
    wires = noise.standard_normal(len(time_s)) * decay(time_s, spec.noise_ms / 1000)
    wires = normal(shape(wires, sample_rate_hz, ("highpass", spec.noise_hz, 0.8)))
    gain = 10 ** (spec.drive_db / 20)
    mixed = np.tanh(gain * (0.6 * skin + spec.noise * wires))
    return normal(faded(mixed, sample_rate_hz, attack_s=0.0005, fade_s=0.01))


@dataclass(frozen=True)
class Clap:
    """Several hands that do not quite meet, then the room."""

    hands: int
    spread_ms: float
    tail_ms: float
    centre_hz: float
    q: float


def draw_clap(rng: np.random.Generator) -> Clap:
    """Claps, and the snaps at the bright, short end."""
    return Clap(
        hands=pick(rng, (2, 3, 4, 5)),
        spread_ms=between(rng, 6, 13),
        tail_ms=log_between(rng, 90, 450),
        centre_hz=log_between(rng, 800, 2600),
        q=between(rng, 0.6, 2.2),
    )


def clap(spec: Clap, sample_rate_hz: int, noise: np.random.Generator) -> Audio:
    """One clap [samples], peak 1; the first hand is on the beat."""
    spread_s = spec.spread_ms / 1000
    last_s = (spec.hands - 1) * spread_s
    time_s = seconds(last_s + spec.tail_ms / 1000, sample_rate_hz)
    level = np.zeros(len(time_s))
    for hand in range(spec.hands):
        since_s = time_s - hand * spread_s
        length_s = spec.tail_ms / 1000 if hand == spec.hands - 1 else 2.2 * spread_s
        own = decay(np.maximum(since_s, 0.0), length_s)
        level = np.maximum(level, np.where(since_s >= 0.0, own, 0.0))
    burst = noise.standard_normal(len(time_s)) * level
    stages = ("bandpass", spec.centre_hz, spec.q), ("highpass", 0.5 * spec.centre_hz, 0.7)
    return normal(faded(shape(burst, sample_rate_hz, *stages), sample_rate_hz, 0.0003, 0.015))
