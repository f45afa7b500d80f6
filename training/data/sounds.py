"""Where in the files there is sound, and which of it is learnt from and which is held out.

    file     |hit...        hit..  .. hit...                  long note ....     |
    sounds   |-----|        |---------------|                 |----------------| |

Silence between two sounds is left out when it is longer than `GAP_SECONDS`, so that crops hold
sound; a tail of it stays, for decays have to be learnt to their end.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from engine.audio_check import SILENT_BELOW
from training.data.audio_folder import name_position

FloatArray = NDArray[np.float32]
WINDOW_SECONDS = 0.05
GAP_SECONDS = 0.5
TAIL_SECONDS = 0.25
LEAST_HELD_SECONDS = 2.0  # what is held out, where it is at most a third of one file ...
LEAST_HELD_SHARE = 0.1  # ... or at most so much of all files
DOMINANT = 0.5  # a file that holds more than this of all sound is never held out whole


@dataclass(frozen=True)
class Sound:
    """A stretch of a file, in frames at the cache's rate."""

    name: str
    start: int
    end: int

    def __len__(self) -> int:
        return self.end - self.start


class Stretches:
    """Finds the sounds of one file, block by block."""

    def __init__(self, rate_hz: int) -> None:
        self.rate_hz = rate_hz
        self.window = max(1, round(WINDOW_SECONDS * rate_hz))
        self.frames = 0
        self._rest: FloatArray | None = None
        self._loud: list[NDArray[np.bool_]] = []

    def add(self, block: FloatArray) -> None:
        """The next block, float32 [frames, channels]."""
        self.frames += len(block)
        whole = block if self._rest is None else np.concatenate((self._rest, block))
        count = len(whole) // self.window
        if count:
            self._loud.append(self._is_loud(whole[: count * self.window], self.window))
        self._rest = whole[count * self.window :].copy()

    def found(self) -> tuple[tuple[int, int], ...]:
        """(start, end) of each sound, ascending."""
        loud = list(self._loud)
        if self._rest is not None and len(self._rest):
            loud.append(self._is_loud(self._rest, len(self._rest)))
        at = np.flatnonzero(np.concatenate(loud)) if loud else np.zeros(0, np.int64)
        if not len(at):
            return ()
        gap = max(1, round(GAP_SECONDS * self.rate_hz / self.window))
        breaks = np.flatnonzero(np.diff(at) > gap)
        starts = at[np.concatenate(([0], breaks + 1))] * self.window
        tail = round(TAIL_SECONDS * self.rate_hz)
        ends = (at[np.concatenate((breaks, [len(at) - 1]))] + 1) * self.window + tail
        return tuple((int(a), int(min(b, self.frames)))
                     for a, b in zip(starts, ends, strict=True))

    @staticmethod
    def _is_loud(audio: FloatArray, window: int) -> NDArray[np.bool_]:
        """Whether each window moves, in any channel; a constant offset is no sound."""
        parts = audio.reshape(len(audio) // window, window, -1)
        moves: NDArray[np.bool_] = (np.ptp(parts, axis=1) >= 2 * SILENT_BELOW).any(axis=1)
        return moves


@dataclass(frozen=True)
class HeldFile:
    """A file that is validated with: the whole of it, or from `start` (frames) to its end."""

    name: str
    start: int


@dataclass(frozen=True)
class Sides:
    """What is learnt from, and what never is."""

    learn: tuple[Sound, ...]
    held: tuple[Sound, ...]
    held_files: tuple[HeldFile, ...]


def sides(sounds: Iterable[Sound], fraction: float, rate_hz: float) -> Sides:
    """Which sounds to learn from and which to hold out: about `fraction` of the files.

    Names decide, as in `split`, so that adding files moves none of a large folder. In a small one
    the next names follow until a tenth, or two seconds, of the sound is held out. A file that
    holds most of the sound, as the only one does, is never held out whole: its end is."""
    files = {name: tuple(part) for name, part in groupby(
        sorted(sounds, key=lambda sound: (sound.name, sound.start)), lambda sound: sound.name)}
    lengths = {name: sum(len(sound) for sound in part) for name, part in files.items()}
    total = sum(lengths.values())
    learn, held, places = dict(files), list[Sound](), list[HeldFile]()
    have = 0
    needed = min(LEAST_HELD_SECONDS * rate_hz, LEAST_HELD_SHARE * total)
    for name in sorted(files, key=name_position) if fraction else ():
        if name_position(name) >= fraction and have >= needed and held:
            break
        if lengths[name] > DOMINANT * total:
            share = max(fraction * lengths[name],
                        min(LEAST_HELD_SECONDS * rate_hz, lengths[name] / 3))
            before, end = _cut(files[name], round(lengths[name] - share))
        elif held and have + lengths[name] > DOMINANT * total:
            continue
        else:
            before, end = (), files[name]
        if not end or (not before and len(files) == 1):
            continue
        learn[name] = before
        held += end
        have += sum(len(sound) for sound in end)
        places.append(HeldFile(name, end[0].start if before else 0))
    return Sides(tuple(s for name in sorted(learn) for s in learn[name]),
                 tuple(sorted(held, key=lambda sound: (sound.name, sound.start))),
                 tuple(sorted(places, key=lambda place: place.name)))


def _cut(parts: tuple[Sound, ...], keep: int) -> tuple[tuple[Sound, ...], tuple[Sound, ...]]:
    """The first `keep` frames of sound, and the rest."""
    before, after = list[Sound](), list[Sound]()
    for sound in parts:
        middle = sound.start + min(len(sound), max(0, keep))
        keep -= len(sound)
        if middle > sound.start:
            before.append(Sound(sound.name, sound.start, middle))
        if middle < sound.end:
            after.append(Sound(sound.name, middle, sound.end))
    return tuple(before), tuple(after)
