"""Keys, scales and chords, as MIDI pitches."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from training.corpus.draw import pick

KEYS = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
SCALES: dict[str, tuple[int, ...]] = {
    "minor": (0, 2, 3, 5, 7, 8, 10),
    "phrygian": (0, 1, 3, 5, 7, 8, 10),
    "dorian": (0, 2, 3, 5, 7, 9, 10),
    "harmonic minor": (0, 2, 3, 5, 7, 8, 11),
    "minor pentatonic": (0, 3, 5, 7, 10),
    "blues": (0, 3, 5, 6, 7, 10),
    "phrygian dominant": (0, 1, 4, 5, 7, 8, 10),
    "mixolydian": (0, 2, 4, 5, 7, 9, 10),
    "whole tone": (0, 2, 4, 6, 8, 10),
    "chromatic": tuple(range(12)),
}
SCALE_WEIGHTS = (6, 4, 4, 2, 3, 1.5, 1, 1, 0.5, 0.7)
# Semitones above the root, voiced as one hand would hold them on a keyboard.
CHORDS: dict[str, tuple[int, ...]] = {
    "fifth": (0, 7, 12),
    "minor": (0, 3, 7),
    "minor open": (0, 7, 15),
    "minor seventh": (0, 3, 7, 10),
    "minor ninth": (0, 3, 10, 14),
    "suspended": (0, 5, 7, 10),
    "fourths": (0, 5, 10, 15),
    "major seventh": (0, 4, 7, 11),
    "octave": (0, 12),
    "cluster": (0, 1, 7),
}
CHORD_WEIGHTS = (2, 5, 2, 4, 4, 1.5, 1.5, 1, 1, 0.5)


@dataclass(frozen=True)
class Key:
    """Where the music is at home. `root` is a bass pitch, 28 (E1, 41 Hz) to 39 (D#2, 78 Hz)."""

    root: int
    scale: str

    @property
    def name(self) -> str:
        """For people: "F# minor"."""
        return f"{KEYS[self.root % 12]} {self.scale}"

    def degree(self, number: int) -> int:
        """Semitones above the root of a scale degree; 0 is the root, negatives lie below."""
        scale = SCALES[self.scale]
        octave, place = divmod(number, len(scale))
        return 12 * octave + scale[place]


def draw_key(rng: np.random.Generator) -> Key:
    """Any root, mostly a dark scale."""
    return Key(28 + int(rng.integers(12)), pick(rng, tuple(SCALES), SCALE_WEIGHTS))


def draw_chord(rng: np.random.Generator) -> tuple[int, ...]:
    """Semitones above its own root."""
    return CHORDS[pick(rng, tuple(CHORDS), CHORD_WEIGHTS)]
