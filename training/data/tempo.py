"""The tempo of a loop, from its length and whether its onsets agree.

A file that is a loop is a whole number of bars, and begins with one. Of 1, 2, 4 and 8 bars one
alone has a tempo between 90 and 180 BPM; near the ends of that octave there are two, and the one
whose grid the onsets follow more is taken. Where they follow none, nothing is known: a drone, a
single hit, a file that was cut anywhere.

    loop repeated   |..... copy .....|..... copy .....|..... copy .....|
    looked at                         onset envelope
    grid            what falls on beats, eighths or sixteenths of a bar
    other           what falls on any other whole number of parts of the loop
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engine.scores.loops import BEATS, bpm_of
from training.evaluation.loop_measures import ENVELOPE_HZ, STEPS, envelope, lock

FloatArray = NDArray[np.float32]
Array = NDArray[np.float64]

BARS = (1, 2, 4, 8)
LOWEST_BPM, HIGHEST_BPM = 90.0, 180.0
SLACK = 0.01  # of a tempo: as much as lengths are rounded by
GRID = (BEATS, 2 * BEATS, STEPS)  # events a bar
# Seen on loops made by synthesis, 4.8 at least; whole recordings of one hit or tone have 2.3 at
# most, loops that were cut elsewhere 3 in one of 20.
AGREES = 3.0  # times as much on the grid as on the median other one
LEAST_LOCK = 0.1  # share of the onsets that is there


def tempo_of_loop(sound: FloatArray, rate_hz: int) -> tuple[float, int] | None:
    """(BPM, bars) of a mono loop [samples]; None ("missing") where nothing beats."""
    seconds = len(sound) / rate_hz
    bars_that_fit = [bars for bars in BARS if seconds > 0 and
                     LOWEST_BPM * (1 - SLACK) <= bpm_of(bars, seconds) < HIGHEST_BPM * (1 + SLACK)]
    if not bars_that_fit:
        return None
    strength, place = _once(sound, rate_hz)
    found = {bars: _on_grid(strength, place, bars) for bars in bars_that_fit}
    agreeing = {bars: total for bars, (total, agrees) in found.items() if agrees}
    if not agreeing:
        return None
    best = max(agreeing, key=lambda bars: agreeing[bars])
    return bpm_of(best, seconds), best


def _once(sound: FloatArray, rate_hz: int) -> tuple[Array, Array]:
    """The onset envelope of one repetition among others, and where in it (0 to 1) frames are."""
    seconds = len(sound) / rate_hz
    strength = envelope(np.tile(sound, 3), rate_hz)
    place = np.arange(len(strength)) / ENVELOPE_HZ / seconds - 1
    inside = (place >= 0) & (place < 1)
    return strength[inside], place[inside]


def _on_grid(strength: Array, place: Array, bars: int) -> tuple[float, bool]:
    """How much of the onsets the grid of so many bars explains, and whether that is more than
    other parts of the loop do."""
    count = (STEPS + BEATS) * bars
    shares = np.array([lock(strength, place, parts) for parts in range(count + 1)])
    grid = shares[[events * bars for events in GRID]]
    beats = np.arange(0, count + 1, BEATS * bars)
    other = float(np.median(np.delete(shares, beats)))
    return float(grid.sum()), bool(grid.max() >= max(LEAST_LOCK, AGREES * other))
