"""What happens in a movement, onset by onset: what a model of notes learns from.

    |c   d e |  ->  top note, steps to the next onset, place in the bar, notes below it
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from engine.scores.score import Movement

TICKS = 96  # of a quarter: every movement's own divide it

PITCH_CLASSES = {"C": 0, "C#": 1, "Db": 1, "D": 2, "Eb": 3, "E": 4, "F": 5, "F#": 6, "G": 7,
                 "Ab": 8, "A": 9, "Bb": 10, "B": 11}


@dataclass(frozen=True)
class Below:
    """A note under the top one of its onset: by how many semitones, and for how long."""

    distance: int
    duration: int


@dataclass(frozen=True)
class Event:
    """One onset. Times are in `TICKS` of a quarter, `place` is that in a whole bar."""

    pitch: int
    degree: int  # semitones above the tonic, 0 to 11
    step: int  # to the next onset
    place: int
    duration: int
    slurred: bool
    below: tuple[Below, ...]


def tonic(piece: Movement) -> int:
    """Its pitch class, 0 to 11."""
    return PITCH_CLASSES[piece.key.split()[0]]


def bar_ticks(metre: tuple[int, int]) -> int:
    """Of a whole bar."""
    return 4 * TICKS * metre[0] // metre[1]


def places(piece: Movement) -> Iterator[int]:
    """Where each bar begins in a whole one: an upbeat, and the second half of a bar that a repeat
    divides, begin later."""
    before, unit = 0, TICKS // piece.ticks
    for number, bar in enumerate(piece.bars):
        whole, length, start = bar_ticks(bar.metre), bar.length * unit, 0
        if length < whole:
            if number == 0:
                start = whole - length
            elif 0 < before < whole and before + length == whole:
                start = before
        yield start
        before = length if start == 0 else 0


def events(piece: Movement) -> list[Event]:
    """All onsets of a movement, in order."""
    chords: dict[int, list[tuple[int, int, bool]]] = {}
    at: dict[int, int] = {}
    start, unit = 0, TICKS // piece.ticks
    for bar, first in zip(piece.bars, places(piece), strict=True):
        for note in bar.notes:
            onset = note.onset * unit
            chords.setdefault(start + onset, []).append(
                (note.pitch, note.duration * unit, "s" in note.flags))
            at[start + onset] = (first + onset) % bar_ticks(bar.metre)
        start += bar.length * unit
    onsets, root, found = sorted(chords), tonic(piece), []
    for onset, after in zip(onsets, [*onsets[1:], start], strict=True):
        *lower, (pitch, duration, slurred) = sorted(chords[onset])
        found.append(Event(
            pitch, (pitch - root) % 12, after - onset, at[onset], duration, slurred,
            tuple(Below(pitch - low, length) for low, length, _ in lower)))
    return found
