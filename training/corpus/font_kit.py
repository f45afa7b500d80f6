"""Strokes of a soundfont's drum kits, for the corpus "drums": played by fluidsynth, in General
MIDI's places.

A kit is played once at a velocity and a tuning, all its keys one after another, and kept: strokes
of one corpus share a few dozen renderings.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np

from training.corpus.circle import Audio
from training.corpus.draw import pick
from training.corpus.soundfont import NOTE_TICK_S, file_of, rendered

EVERY_S = 2.5  # from one key to the next: what rings longer is faded
VELOCITIES = (44, 78, 112)
TUNINGS = (-1.0, 0.0, 1.0)  # semitones, of two that the bender reaches
BEND_REACH = 2.0
CHANNEL = 9  # that of drums, from 0
INAUDIBLE = 3e-4  # of a stroke's peak
SILENT = 1e-3  # of the loudest key: not in this kit

# Programs of a drum channel, by genre: standard 0, room 8, power 16, electronic 24, analogue 25,
# jazz 32, brush 40, orchestra 48.
KITS: dict[str, tuple[int, ...]] = {
    "": (0, 8, 16, 24, 25, 32, 40, 48), "dnb": (0, 16), "electro": (25, 24), "hiphop": (0, 25),
    "house": (25, 24), "jazz": (32, 40), "rock": (8, 16), "techno": (24, 25), "trap": (25,)}
KEYS: dict[str, tuple[int, ...]] = {
    "clap": (39,), "conga": (60, 61, 62, 63, 64), "cowbell": (56,),
    "cymbal": (49, 51, 52, 53, 55, 57, 59), "hat_closed": (42, 44), "hat_open": (46,),
    "kick": (35, 36), "perc": (54, 65, 66, 75, 76, 77), "rim": (37,), "shaker": (69, 70, 82),
    "snare": (38, 40), "tom": (41, 43, 45, 47, 48, 50)}
PLAYED = tuple(sorted(key for keys in KEYS.values() for key in keys))


@cache
def kit_strokes(file: Path, program: int, velocity: int, tuning: float, rate: int
                ) -> dict[int, Audio]:
    """Every key of a kit that sounds, [samples] each."""
    control, bender = 0xB0 | CHANNEL, round(8192 * (1 + tuning / BEND_REACH))
    events = [(0, bytes([0xC0 | CHANNEL, program])),
              *((0, bytes([control, number, 0])) for number in (91, 93)),  # no reverb, no chorus
              (0, bytes([0xE0 | CHANNEL, bender & 0x7F, bender >> 7]))]
    for place, key in enumerate(PLAYED):
        at = round(place * EVERY_S / NOTE_TICK_S)
        events.append((at, bytes([0x90 | CHANNEL, key, velocity])))
    every = round(EVERY_S * rate)
    played = rendered(file, file_of(events, NOTE_TICK_S), every * len(PLAYED), rate)
    found = dict(zip(PLAYED, played.reshape(len(PLAYED), every), strict=True))
    loudest = max(float(np.abs(sound).max()) for sound in found.values())
    return {key: _audible(sound) for key, sound in found.items()
            if np.abs(sound).max() > SILENT * loudest}


def _audible(sound: Audio) -> Audio:
    """Without the silence at its end, so that all kits are kept at once; faded where it still
    rings, of peak 1."""
    sound = sound / np.abs(sound).max()
    kept = sound[: int(np.flatnonzero(np.abs(sound) > INAUDIBLE)[-1]) + 1].copy()
    fall = len(kept) // 4
    kept[-fall:] *= 0.5 + 0.5 * np.cos(np.pi * np.arange(fall) / fall)
    return kept


def kit_stroke(file: Path, of_class: str, genre: str, velocity: float, rate: int,
               rng: np.random.Generator) -> tuple[str, Audio]:
    """A stroke of a class on a kit of the genre: (its kit and key as text, audio [samples])."""
    hard = min(VELOCITIES, key=lambda each: abs(each - 127 * velocity))
    for program in (*_shuffled(KITS[genre], rng), *_shuffled(KITS[""], rng)):
        tuning = pick(rng, TUNINGS)
        there = kit_strokes(file, program, hard, tuning, rate)
        keys = [key for key in KEYS[of_class] if key in there]
        if keys:
            key = pick(rng, keys)
            return f"kit {program} key {key}", there[key].copy()
    raise ValueError(f"{file} has no {of_class} among General MIDI's drums")


def _shuffled(programs: tuple[int, ...], rng: np.random.Generator) -> list[int]:
    return [programs[place] for place in rng.permutation(len(programs))]
