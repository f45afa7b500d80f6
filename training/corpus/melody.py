"""The pitch of a note or a few, sample by sample: steps, glides, vibrato, drift, quarter tones."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.corpus.circle import Audio
from training.corpus.draw import between, chance, log_between, pick

LOWEST, HIGHEST = 33.0, 93.0  # MIDI pitches: five octaves, 55 to 1760 Hz


@dataclass(frozen=True)
class Melody:
    """What is played: pitches in semitones (MIDI), and how one gets to the next."""

    pitches: tuple[float, ...]
    starts_s: tuple[float, ...]
    duration_s: float
    glide_s: float
    vibrato_hz: float
    vibrato_cents: float
    vibrato_after_s: float
    drift_cents: float


def draw_melody(rng: np.random.Generator, low: float = LOWEST, high: float = HIGHEST) -> Melody:
    """One to four notes; a third of them in quarter tones, a third in no scale at all."""
    count = pick(rng, (1, 1, 2, 3, 4))
    tuning = pick(rng, ("semitones", "quarter tones", "free"))
    grid = {"semitones": 1.0, "quarter tones": 0.5, "free": 0.0}[tuning]
    pitch = between(rng, low, high)
    pitches = []
    for _ in range(count):
        held = round(pitch / grid) * grid if grid else pitch
        pitches.append(round(float(np.clip(held, low, high)), 3))
        leap = float(rng.normal(0, 5.0))
        pitch = min(max(pitch + leap, low), high)
    lengths = [log_between(rng, 0.5, 2.2) for _ in range(count)]
    if count == 1:
        lengths[0] += 0.8
    starts = np.concatenate([[0.0], np.cumsum(lengths)])
    return Melody(
        tuple(pitches), tuple(round(float(start), 4) for start in starts[:-1]),
        round(float(starts[-1]), 4),
        glide_s=log_between(rng, 0.012, 0.6) if chance(rng, 0.75) else 0.012,
        vibrato_hz=between(rng, 3.8, 7.2),
        vibrato_cents=log_between(rng, 4, 70) if chance(rng, 0.6) else 0.0,
        vibrato_after_s=between(rng, 0.05, 0.6),
        drift_cents=between(rng, 0, 6),
    )


def semitones(melody: Melody, samples: int, rate: int, noise: np.random.Generator) -> Audio:
    """The pitch at every sample [samples], exactly what the sound will have.

    Steps are raised cosines in semitones, as a hand slides; vibrato grows from nothing.
    """
    time_s = np.arange(samples) / rate
    curve = np.full(samples, melody.pitches[0])
    since_s = time_s.copy()
    for before, after, start_s in zip(melody.pitches, melody.pitches[1:], melody.starts_s[1:],
                                      strict=False):
        share = np.clip((time_s - start_s) / melody.glide_s, 0.0, 1.0)
        curve += (after - before) * (0.5 - 0.5 * np.cos(np.pi * share))
        since_s = np.where(time_s >= start_s, time_s - start_s, since_s)
    sway = np.sin(2 * np.pi * melody.vibrato_hz * time_s)
    grown = np.clip((since_s - melody.vibrato_after_s) / 0.4, 0.0, 1.0)
    # A new note begins without vibrato; over a fade, or the pitch would jump.
    soft = max(1, round(0.03 * rate))
    grown = np.convolve(np.pad(grown, (soft - 1, 0), mode="edge"), np.ones(soft) / soft, "valid")
    curve += melody.vibrato_cents / 100 * grown * sway
    for turns_s in (0.9, 2.3, 4.1):
        curve += melody.drift_cents / 300 * np.sin(2 * np.pi * (time_s / turns_s + noise.random()))
    return curve


def hertz(curve: Audio) -> Audio:
    """Frequencies of MIDI pitches."""
    return np.asarray(440.0 * 2.0 ** ((curve - 69.0) / 12.0))
