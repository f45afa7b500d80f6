"""Single notes of a soundfont's instruments, for the corpus "instruments": played by fluidsynth.

An instrument is played once at a velocity, all its notes one after another, and kept: the notes of
one corpus share a few dozen renderings.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from training.corpus.circle import Audio
from training.corpus.soundfont import NOTE_TICK_S, file_of, rendered

EVERY_S, HELD_S = 2.2, 1.9  # from one note to the next, and how long its key is down
VELOCITIES = (40, 72, 100, 122)
SILENT = 1e-3  # of the loudest note: not in this font
LEVEL = 0x5A  # of the channel's volume: chords of releases must not clip


@cache
def font_notes(file: Path, program: int, low: int, high: int, velocity: int, rate: int
               ) -> dict[int, NDArray[np.float32]]:
    """Every note of an instrument that sounds, by MIDI pitch, [samples] each, as loud as they are
    to each other; in single precision, so that all instruments are kept at once."""
    keys = range(low, high + 1)
    events = [(0, bytes([0xC0, program])), (0, bytes([0xB0, 7, LEVEL])),
              *((0, bytes([0xB0, number, 0])) for number in (91, 93))]  # no reverb, no chorus
    for place, key in enumerate(keys):
        at = round(place * EVERY_S / NOTE_TICK_S)
        events += [(at, bytes([0x90, key, velocity])),
                   (at + round(HELD_S / NOTE_TICK_S), bytes([0x80, key, 0]))]
    every = round(EVERY_S * rate)
    played = rendered(file, file_of(events, NOTE_TICK_S), every * len(keys), rate)
    found = dict(zip(keys, played.astype(np.float32).reshape(len(keys), every), strict=True))
    loudest = max(float(np.abs(sound).max()) for sound in found.values())
    return {key: sound for key, sound in found.items() if np.abs(sound).max() > SILENT * loudest}


def font_note(file: Path, program: int, low: int, high: int, pitch: int, velocity: float,
              rate: int) -> tuple[int, float, Audio]:
    """The note of an instrument that is next to what is asked for: (its pitch, its velocity as a
    share, audio [samples])."""
    hard = min(VELOCITIES, key=lambda each: abs(each - 127 * velocity))
    there = font_notes(file, program, low, high, hard, rate)
    if not there:
        raise ValueError(f"{file} has no notes of program {program} (from 0)")
    nearest = min(there, key=lambda key: (abs(key - pitch), key))
    return nearest, hard / 127, there[nearest].astype(np.float64)
