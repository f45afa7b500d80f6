"""Genres of the corpus "drums": each moves the ranges that strokes are drawn from.

    class, way          parameters as `hits` draws them
      -> ranges         those that a genre is known by, drawn again in its own range
      -> lengths        everything that decays, by one factor
      -> treated        overdrive, a sampler's rate and bits, a lowpass, the room

What a genre does not name stays as wide as it is without genres.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from training.corpus.circle import Audio
from training.corpus.draw import between, chance, log_between
from training.corpus.filters import audible_hz, shape

Rng = np.random.Generator
Range = tuple[float, float]
LENGTHS = ("decay_ms", "tone_ms", "noise_ms", "tail_ms", "wires_ms", "decay_s")


@dataclass(frozen=True)
class Genre:
    """Where its drums come from, and what was done to them."""

    kit: float  # how often a class that both have is struck on a band's kit
    lengths: Range  # factor of every decay
    drive_db: Range = (0.0, 0.0)
    room: Range = (0.0, 0.0)  # level, by RMS; none where it is 0
    room_s: Range = (0.1, 0.4)
    lowpass_hz: Range = (20000.0, 20000.0)
    sampled_hz: Range = (0.0, 0.0)  # rate of a sampler of 12 bits without filters; 0: none
    # By class, ranges of parameters by name, of which a way takes those that it has.
    ranges: dict[str, dict[str, Range]] = field(default_factory=dict)


GENRES: dict[str, Genre] = {
    "dnb": Genre(0.75, (0.5, 0.9), (2, 10), (0.05, 0.25), (0.12, 0.35), ranges={
        "kick": {"tune_hz": (52, 72), "decay_ms": (120, 280), "beater_hz": (400, 1200)},
        "snare": {"tune_hz": (190, 300), "noise_hz": (1500, 4500), "wires": (0.8, 1.6)},
        "tom": {"tune_hz": (120, 300)},
        "hat_closed": {"highpass_hz": (5500, 9000), "peak_hz": (9000, 13000)}}),
    "electro": Genre(0.0, (0.5, 1.1), (0, 4), ranges={
        "kick": {"tune_hz": (44, 58), "sweep_hz": (150, 480), "punch_ms": (10, 40)},
        "snare": {"tune_hz": (170, 230), "noise_ms": (90, 220), "noise_hz": (1200, 2500)},
        "tom": {"bend": (0.6, 1.4), "bend_ms": (30, 80)},
        "hat_closed": {"metal": (0.6, 1.0)}, "hat_open": {"metal": (0.6, 1.0)},
        "cowbell": {"tune_hz": (520, 600), "q": (1.5, 3.0)}}),
    "hiphop": Genre(0.7, (0.7, 1.2), (3, 12), (0.04, 0.2), (0.15, 0.5), (5000, 11000),
                    (20000, 27000), {
        "kick": {"tune_hz": (42, 60), "decay_ms": (150, 380)},
        "snare": {"tune_hz": (150, 210), "wires_hz": (350, 900), "noise_hz": (700, 1600)},
        "hat_closed": {"highpass_hz": (3000, 5500), "peak_hz": (5000, 7500)}}),
    "house": Genre(0.1, (0.7, 1.2), (0, 5), (0.03, 0.15), (0.15, 0.5), ranges={
        "kick": {"tune_hz": (46, 60), "decay_ms": (220, 480), "click": (0.15, 0.5)},
        "snare": {"tune_hz": (180, 260), "noise_ms": (120, 260)},
        "clap": {"tail_ms": (180, 420), "centre_hz": (1000, 1700)},
        "hat_open": {"highpass_hz": (4500, 7500), "decay_ms": (220, 480)}}),
    "jazz": Genre(1.0, (1.0, 1.9), (0, 1), (0.08, 0.3), (0.5, 1.1), ranges={
        "kick": {"tune_hz": (60, 95), "decay_ms": (280, 650), "damping": (0.4, 1.0)},
        "snare": {"tune_hz": (210, 330), "wires": (0.25, 0.6), "strike": (0.1, 0.4)},
        "tom": {"tune_hz": (110, 280), "damping": (0.3, 0.7)},
        "cymbal": {"decay_s": (2.5, 5.0), "bell": (0.6, 2.0)}}),
    "rock": Genre(1.0, (0.8, 1.4), (0, 6), (0.1, 0.45), (0.3, 0.9), ranges={
        "kick": {"tune_hz": (48, 64), "beater_hz": (350, 1000), "strike": (0.3, 0.8)},
        "snare": {"tune_hz": (150, 220), "body": (0.5, 0.9), "wires": (0.5, 1.0)},
        "tom": {"tune_hz": (68, 170), "decay_ms": (350, 1000)},
        "cymbal": {"peak_hz": (4000, 7500), "decay_s": (1.5, 4.0)}}),
    "techno": Genre(0.0, (0.6, 1.3), (6, 18), (0.02, 0.25), (0.2, 0.9), ranges={
        "kick": {"tune_hz": (42, 54), "sweep_hz": (120, 480), "sweep_ms": (12, 40),
                 "decay_ms": (200, 520)},
        "clap": {"q": (1.2, 2.2), "tail_ms": (90, 220)},
        "hat_closed": {"highpass_hz": (4500, 8000), "decay_ms": (25, 70)},
        "hat_open": {"metal": (0.5, 1.0)}, "tom": {"tune_hz": (75, 130)}}),
    "trap": Genre(0.0, (0.8, 1.5), (0, 9), ranges={
        "kick": {"tune_hz": (30, 46), "decay_ms": (700, 1500), "sweep_ms": (9, 25),
                 "punch_ms": (20, 60)},
        "snare": {"tune_hz": (230, 420), "noise_hz": (2500, 5000), "noise_ms": (80, 200)},
        "clap": {"centre_hz": (1500, 2600), "tail_ms": (120, 300)},
        "hat_closed": {"decay_ms": (20, 50), "highpass_hz": (6500, 10000)},
        "rim": {"tune_hz": (700, 1500)}, "tom": {"tune_hz": (55, 120), "decay_ms": (400, 1100)}}),
}


def of_genre(spec: Any, name: str, of_class: str, rng: Rng) -> Any:
    """A stroke's parameters, a dataclass as `hits` draws it, as a genre has them."""
    genre = GENRES[name]
    factor = log_between(rng, *genre.lengths)
    known = asdict(spec)
    moved: dict[str, float] = {}
    for key, (low, high) in genre.ranges.get(of_class, {}).items():
        value = log_between(rng, low, high)  # drawn for every way: what follows is not shifted
        if known.get(key, 0.0):  # what a drum does not have at all it does not gain
            moved[key] = value
    for key in LENGTHS:
        if known.get(key, 0.0) and key not in genre.ranges.get(of_class, {}):
            moved[key] = float(f"{factor * known[key]:.4g}")
    return replace(spec, **moved)


@dataclass(frozen=True)
class Treatment:
    """What is done to a stroke: as drawn for one of a genre."""

    drive_db: float
    room: float
    room_s: float
    lowpass_hz: float
    sampled_hz: float


def draw_treatment(name: str, rng: Rng) -> Treatment:
    """Not every stroke is in a room, or was sampled, where a genre knows of it."""
    genre = GENRES[name]
    room = log_between(rng, *genre.room) if genre.room[1] and chance(rng, 0.8) else 0.0
    sampled = between(rng, *genre.sampled_hz) if chance(rng, 0.75) else 0.0
    return Treatment(between(rng, *genre.drive_db), room, between(rng, *genre.room_s),
                     log_between(rng, *genre.lowpass_hz), sampled)


def treated(sound: Audio, spec: Treatment, rate: int) -> Audio:
    """A dry stroke [samples] through sampler and lowpass; drive and room are those of `hits`."""
    if spec.sampled_hz and spec.sampled_hz < rate:
        place = np.arange(len(sound)) * spec.sampled_hz / rate
        held = np.minimum(np.round(np.floor(place) * rate / spec.sampled_hz), len(sound) - 1)
        sound = np.round(sound[held.astype(np.int64)] * 2048) / 2048  # twelve bits
    if spec.lowpass_hz < 0.4 * rate:
        sound = shape(sound, rate, ("lowpass", float(audible_hz(spec.lowpass_hz, rate)), 0.7))
    return sound
