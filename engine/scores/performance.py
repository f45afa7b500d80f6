"""How a player plays what a score says: tempo, rubato, a ritardando at the end, dynamics, strokes
of the bow, broken chords.

    score     |c       |d    slur   |e       |e
    played    |c-----. |d-----------|        |e      a gap where the bow turns
                                    |e-----.         a slurred note begins as the last one ends
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from engine.scores.score import ScoreNote
from engine.scores.timed import Note, in_order

Rng = np.random.Generator
Scored = Sequence[tuple[Fraction, Fraction, ScoreNote]]
STEP = 1 / 16  # of a quarter, between two values of the tempo
SPREAD_S = 0.035  # between two strings of a broken chord
HELD_S = 0.25  # of the lower strings of a chord: a bow holds two
OVERLAP_S = 0.012  # of slurred notes
GAP_S = (0.018, 0.03)  # where the bow turns: longest of short notes, and of all
LEAST_S = 0.03  # of a note
LOOSE_S = 0.004  # how exactly onsets are together with the beat


@dataclass(frozen=True)
class Manner:
    """What one performance has of its own."""

    tempo: float  # quarters a minute
    rubato: float  # the tempo's deviation, a share
    level: float  # velocity about which dynamics move
    swell: float  # how far
    detached: float  # 0 to 1: how short strokes are that are not slurred
    phases: tuple[float, ...]

    @classmethod
    def drawn(cls, rng: Rng, tempo: float) -> Manner:
        """Up to 15 % slower or faster than the score has it."""
        return cls(tempo * float(rng.uniform(0.85, 1.15)), float(rng.uniform(0.02, 0.05)),
                   float(rng.uniform(0.4, 0.75)), float(rng.uniform(0.08, 0.2)),
                   float(rng.uniform(0, 1)), tuple(rng.uniform(0, 2 * np.pi, 5)))


def perform(scored: Scored, quarters: float, manner: Manner, rng: Rng, closes: bool = True
            ) -> list[Note]:
    """`scored` notes of so many `quarters`, played; `closes`: with a ritardando at the end."""
    clock = _clock(quarters, manner, closes)
    chords: dict[Fraction, list[tuple[int, Fraction, str]]] = {}
    for onset, duration, note in scored:
        chords.setdefault(onset, []).append((note.pitch, duration, note.flags))
    played = []
    for onset in sorted(chords):
        start = max(0.0, _at(clock, onset) + float(rng.normal(0, LOOSE_S)))
        level = _level(float(onset), manner) + float(rng.normal(0, 0.03))
        played += _chord(sorted(chords[onset]), onset, start, level, clock, manner, rng)
    return _apart(in_order(played))


def _clock(quarters: float, manner: Manner, closes: bool) -> np.ndarray:
    """Seconds at every `STEP` of the score."""
    place = np.arange(int(quarters / STEP) + 3) * STEP
    a, b, c, *_ = manner.phases
    speed = 1 + manner.rubato * (np.sin(0.21 * place + a) + 0.7 * np.sin(0.53 * place + b)
                                 + 0.4 * np.sin(1.57 * place + c))
    if closes:
        speed *= 1 - 0.35 * np.clip(1 - (quarters - place) / min(6.0, quarters / 2), 0, 1)
    steps = STEP * 60 / manner.tempo / speed
    return np.concatenate([[0.0], np.cumsum(steps)])


def _at(clock: np.ndarray, quarter: Fraction) -> float:
    """Seconds; notes that are held beyond the end go on at the last tempo."""
    place = float(quarter) / STEP
    left = min(int(place), len(clock) - 2)
    return float(clock[left] + (place - left) * (clock[left + 1] - clock[left]))


def _level(quarter: float, manner: Manner) -> float:
    _, _, _, d, e = manner.phases
    return manner.level + manner.swell * (np.sin(0.131 * quarter + d)
                                          + 0.6 * np.sin(0.377 * quarter + e))


def _chord(chord: list[tuple[int, Fraction, str]], onset: Fraction, start: float, level: float,
           clock: np.ndarray, manner: Manner, rng: Rng) -> list[Note]:
    """Notes of one onset, from the lowest up."""
    broken, notes = len(chord) > 2, []
    for index, (pitch, duration, flags) in enumerate(chord):
        begins = start + index * SPREAD_S if broken else start
        ends = _at(clock, onset + duration)
        if broken and index < len(chord) - 2:
            ends = min(ends, begins + HELD_S)
        slurred = "s" in flags
        velocity = float(np.clip(level * (0.92 if slurred else 1) + rng.normal(0, 0.03), 0.1, 1))
        length = ends - begins
        gap = min(GAP_S[0] + manner.detached * (GAP_S[1] - GAP_S[0]), 0.2 * length)
        notes.append(Note(begins, max(LEAST_S, length - gap), float(pitch), velocity, slurred))
    return notes


def _apart(notes: list[Note]) -> list[Note]:
    """A slurred note takes over from the one that ends as it begins; a repeated one has a gap
    before it, for one string cannot sound twice."""
    done: list[Note] = []
    for note in notes:
        for index in range(len(done) - 1, max(-1, len(done) - 9), -1):
            last = done[index]
            left = note.onset_s - last.onset_s
            if last.pitch == note.pitch:
                room = max(min(LEAST_S, 0.6 * left), left - GAP_S[0])
                length = min(last.duration_s, room)
            elif note.slurred and left > 0 and abs(last.end_s - note.onset_s) < 2 * GAP_S[1]:
                length = left + OVERLAP_S
            else:
                continue
            done[index] = last._replace(duration_s=length)
        done.append(note)
    return [note for note in done if note.duration_s > 0]
