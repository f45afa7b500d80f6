"""Notes as the channels that a model with pitch, gate and loudness inputs reads, a row for so many
samples:

    pitch 1 | gate 1 | pitch 2 | gate 2 | ... | loudness | free | (class)

A note keeps the pair of channels in which it began. Of notes that begin together the lowest has the
first; a pair whose note has ended keeps its pitch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil

import numpy as np
from numpy.typing import NDArray

from engine.errors import ConfigError
from engine.scores.timed import Note, in_order, length_s

FloatArray = NDArray[np.float32]
MIDDLE_C, MIDDLE_C_HZ = 60.0, 261.625565  # MIDI; where 0 octaves are
LEAST_GAP_ROWS = 4  # of a gate at 0, before the same note begins again
PITCH, GATE, LOUDNESS, FREE, CLASS = "pitch_oct", "gate", "loudness", "free", "class"
FLOOR_BELS = -8.0
MOST_VOICES = 4
LEGATO_S = 0.06  # notes overlap by less where one takes over from another
# Level of a note of a velocity, in bels, as our own bowed strings have it.
LOUDNESS_AT_0, LOUDNESS_RISE = -3.3, 2.03
SMOOTH_S = 0.05


def octaves(pitch: float) -> float:
    """A MIDI pitch as 1 V/oct has it."""
    return (pitch - MIDDLE_C) / 12


def voices_of(labels: Sequence[str]) -> int:
    """Pairs of pitch and gate among the labels of a method's inputs; 0: it has another layout."""
    kinds = [kind_of(label) for label in labels]
    count = kinds.count(GATE)
    wanted = [PITCH, GATE] * count + [LOUDNESS, FREE]
    return count if kinds in (wanted, [*wanted, CLASS]) and count else 0


def kind_of(label: str) -> str:
    """`gate`, `gate 2`, `gate_2` and `gate2` are all gates."""
    return label.rstrip("0123456789").rstrip("_ ")


@dataclass(frozen=True)
class Roll:
    """Notes in rows: which pair of channels each has, and from where to where its gate is open."""

    voices: int
    pairs: NDArray[np.int64]
    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    octaves: FloatArray
    velocities: FloatArray

    @classmethod
    def of(cls, notes: Sequence[Note], ratio: int, rate: int, voices: int) -> Roll:
        """A row stands for `ratio` samples at `rate`."""
        if not 1 <= voices <= MOST_VOICES:
            raise ConfigError(f"voices must lie between 1 and {MOST_VOICES}, not {voices}")
        found = assigned(notes, voices)
        starts = [round(note.onset_s * rate / ratio) for _, note in found]
        ends = [max(start + 1, round(note.end_s * rate / ratio))
                for start, (_, note) in zip(starts, found, strict=True)]
        last: dict[int, int] = {}
        for index, (pair, note) in enumerate(found):
            before = last.get(pair)
            if before is not None:  # cut where this note takes over, earlier if it is the same
                same = found[before][1].pitch == note.pitch
                room = starts[index] - (LEAST_GAP_ROWS if same else 0)
                ends[before] = max(starts[before], min(ends[before], room))
            last[pair] = index
        return cls(voices, np.array([pair for pair, _ in found], np.int64),
                   np.array(starts, np.int64), np.array(ends, np.int64),
                   np.array([octaves(note.pitch) for _, note in found], np.float32),
                   np.array([note.velocity for _, note in found], np.float32))

    def rows(self, first: int, count: int) -> FloatArray:
        """Pitch and gate of each pair in `count` rows from `first` on: [2 voices, count]."""
        out = np.zeros((2 * self.voices, count), np.float32)
        for pair in range(self.voices):
            own = np.flatnonzero(self.pairs == pair)
            if not len(own):
                continue
            starts, place = self.starts[own], np.arange(first, first + count)
            # The note that began last; before the first, that one's pitch already.
            index = np.searchsorted(starts, place, side="right") - 1
            note = own[np.maximum(index, 0)]
            out[2 * pair] = self.octaves[note]
            out[2 * pair + 1] = (index >= 0) & (place < self.ends[note])
        return out

    def loudness(self, first: int, count: int, rows_per_second: float) -> FloatArray:
        """What the velocities ask for [count], in bels."""
        power = np.zeros(count)
        for start, end, velocity in zip(self.starts - first, self.ends - first, self.velocities,
                                        strict=True):
            power[max(0, start) : max(0, end)] += 10 ** (
                LOUDNESS_AT_0 + LOUDNESS_RISE * float(velocity))
        return smoothed_bels(power, rows_per_second)


def conditions(notes: Sequence[Note], ratio: int, rate: int, voices: int,
               seconds: float | None = None) -> FloatArray:
    """Rows for `seconds` (until the last note has ended), a row for `ratio` samples at `rate`:
    [2 voices + 2, rows]. Loudness is what velocities ask for; of a sound, measure it."""
    count = ceil((length_s(notes) if seconds is None else seconds) * rate / ratio)
    roll = Roll.of(notes, ratio, rate, voices)
    return np.concatenate([roll.rows(0, count), roll.loudness(0, count, rate / ratio)[None],
                           np.zeros((1, count), np.float32)])


def smoothed_bels(power: NDArray[np.float64], rows_per_second: float) -> FloatArray:
    """Power of each row as a level in bels, smoothed over `SMOOTH_S`, not below the floor."""
    window = np.hanning(2 * max(1, round(SMOOTH_S * rows_per_second / 2)) + 3)[1:-1]
    level = np.convolve(power, window / window.sum(), "same")[: len(power)]
    return np.log10(np.maximum(level, 10**FLOOR_BELS)).astype(np.float32)


def assigned(notes: Sequence[Note], voices: int) -> list[tuple[int, Note]]:
    """Each note, by onset, with the number of its pair."""
    held: list[Note | None] = [None] * voices
    done = []
    for note in in_order(notes):
        pair = _pair(note, held)
        held[pair] = note
        done.append((pair, note))
    return done


def _pair(note: Note, held: Sequence[Note | None]) -> int:
    """Where `note` goes: to the pair of its own pitch, to the first whose note is over or about to
    be, or to the one whose note ends soonest."""
    left = [-1.0 if last is None else last.end_s - note.onset_s for last in held]
    for pair, last in enumerate(held):
        if last is not None and left[pair] > 0 and last.pitch == note.pitch:
            return pair
    for pair, (rest, last) in enumerate(zip(left, held, strict=True)):
        if rest <= 0 or (rest < LEGATO_S and not _just_begun(note, last)):
            return pair
    return int(np.argmin(left))


def _just_begun(note: Note, last: Note | None) -> bool:
    """Whether the pair's note began with this one: short notes of one chord are no legato."""
    return last is not None and note.onset_s - last.onset_s < LEGATO_S / 2
