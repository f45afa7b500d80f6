"""What a sound is like that a model drew from its own past, beside the real one of the same score.

A network that finds real sound likely may still drift into silence, noise or a scream once it hears
itself: these figures, not likelihoods, say whether it plays.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.evaluation.asked_notes import Asked, clarity, framed, in_tune, levels_db, peak_octaves

FloatArray = NDArray[np.float32]
Array = NDArray[np.float64]
Flags = NDArray[np.bool_]
WINDOW_SECONDS = 1.0
QUIET_DB = -45.0  # a second below is silence
JUMP_PERCENTILE = 99.9
COLLAPSE_SECONDS = 5.0  # so long in one state is a collapse, or twice as long as real sound is
NOISY, STEADY_CENTS = 0.5, 35.0  # clarity below which a second is noise; a tone within is stuck
LOUDER_DB = 12.0  # than the loudest second of real sound: a scream
STATES = ("silence", "noise", "stuck", "scream")


@dataclass(frozen=True)
class Heard:
    """A sound [samples], frame by frame, and what it was asked for; without a score all frames
    count as asked for."""

    audio: NDArray[Any]
    rate_hz: int
    level: Array  # dB
    clear: Array
    asked: Asked | None

    @classmethod
    def of(cls, audio: NDArray[Any], rate_hz: int, asked: Asked | None) -> Heard:
        frames = framed(audio, rate_hz)
        return cls(audio, rate_hz, levels_db(frames), clarity(frames, rate_hz), asked)

    @property
    def counts(self) -> Flags:
        """Frames in which something is to be heard."""
        if self.asked is None:
            return np.ones(len(self.level), bool)
        return self.asked.any[: len(self.level)]

    def jumps(self) -> float:
        """What 0.1 % of the steps from one sample to the next are larger than."""
        steps = np.abs(np.diff(np.asarray(self.audio, np.float64)))
        return float(np.percentile(steps, JUMP_PERCENTILE)) if len(steps) else 0.0

    def figures(self, real: Heard) -> dict[str, float | None]:
        """In contrast to `real`, which was asked for the same."""
        counts, tuned = self.counts, None
        if self.asked is not None:
            found = in_tune(self.audio, self.asked, self.rate_hz)
            tuned = float(found.mean()) if len(found) else None
        level, asked = self.seconds()
        some = bool(counts.any())
        return {
            "pitch": tuned,
            "clarity": float(self.clear[counts].mean()) if some else None,
            "level_db": (float(np.median(self.level[counts]) - np.median(real.level[real.counts]))
                         if some else None),
            "jumps": self.jumps() / max(real.jumps(), 1e-9),
            "quiet_windows": float((level[asked] < QUIET_DB).sum()),
        }

    def seconds(self) -> tuple[Array, Flags]:
        """Level of each whole second in dB, and whether something is asked for in most of it."""
        size = round(WINDOW_SECONDS * self.rate_hz)
        whole = np.asarray(self.audio[: len(self.audio) // size * size], np.float64)
        places = self.places(len(whole) // size)
        return levels_db(whole.reshape(-1, size)), np.array(
            [len(part) > 0 and self.counts[part].mean() > 0.5 for part in places], bool)

    def places(self, seconds: int) -> list[NDArray[np.int64]]:
        """Which frames belong to each second."""
        return np.array_split(np.arange(len(self.level)), max(1, seconds))[:seconds]


@dataclass(frozen=True)
class Windows:
    """Seconds of a sound: level in dB, median clarity, the frames' pitch and its spread, what was
    asked for."""

    level: Array
    clear: Array
    spread_cents: Array  # between the 10th and 90th percentile of frames' pitches
    asked: Flags  # whether a note is on for most of it
    asked_moves: Flags  # whether the asked pitch changes in it, or nothing is known of it

    @classmethod
    def of(cls, heard: Heard) -> Windows:
        level, on = heard.seconds()
        pitches = peak_octaves(framed(heard.audio, heard.rate_hz), heard.rate_hz) * 1200
        clear, spread, moves = [], [], []
        for part in heard.places(len(level)):
            known = pitches[part][np.isfinite(pitches[part])]
            clear.append(float(np.median(heard.clear[part])) if len(part) else 0.0)
            spread.append(float(np.subtract(*np.percentile(known, (90, 10)))) if len(known)
                          else np.inf)
            moves.append(_moves(heard.asked, part))
        return cls(level, np.array(clear), np.array(spread), on, np.array(moves, bool))


def _moves(asked: Asked | None, frames: NDArray[np.int64]) -> bool:
    """Whether more than one pitch is asked for."""
    if asked is None:
        return True
    octaves = asked.octaves[frames[frames < len(asked.octaves)]]
    octaves = octaves[np.isfinite(octaves)]
    return bool(len(octaves) > 1 and np.ptp(octaves) * 1200 > 2 * STEADY_CENTS)


def states(windows: Windows, loudest_db: float) -> dict[str, Flags]:
    """Which seconds are silent, noise, a tone that stays though others are asked for, or far louder
    than real sound ever is. Seconds in which little is asked for are none of these."""
    silent = windows.asked & (windows.level < QUIET_DB)
    noise = windows.asked & ~silent & (windows.clear < NOISY)
    stuck = windows.asked & windows.asked_moves & ~silent & ~noise & (
        windows.spread_cents < STEADY_CENTS)
    scream = windows.level > loudest_db + LOUDER_DB
    return dict(zip(STATES, (silent, noise, stuck, scream), strict=True))


def runs(flags: Flags) -> list[tuple[int, int]]:
    """Where and how long each stretch of true ones is."""
    found, at = [], 0
    for value, group in groupby(flags):
        count = len(list(group))
        if value:
            found.append((at, count))
        at += count
    return found


def collapses(sound: Heard, real: Heard) -> dict[str, Any]:
    """What the sound falls into: for each state the longest stretch in seconds and, if that is a
    collapse, when the first begins; "first_seconds", of any, and the share of seconds in one."""
    own, other = Windows.of(sound), Windows.of(real)
    loudest = float(other.level.max(initial=-100.0))
    usual = {name: max((count for _, count in runs(flags)), default=0)
             for name, flags in states(other, loudest).items()}
    found: dict[str, Any] = {}
    within = np.zeros(len(own.level), bool)
    for name, flags in states(own, loudest).items():
        least = max(COLLAPSE_SECONDS, 2 * usual[name])
        long = [(at, count) for at, count in runs(flags) if count >= least]
        for at, count in long:
            within[at : at + count] = True
        found[name] = {"longest_seconds": float(max((n for _, n in runs(flags)), default=0)),
                       "from_seconds": float(long[0][0]) if long else None}
    starts = [row["from_seconds"] for row in found.values() if row["from_seconds"] is not None]
    return {**found, "first_seconds": min(starts, default=None),
            "share": float(within.mean()) if len(within) else 0.0}
