"""Whether notes have the pitch that was asked for."""

from __future__ import annotations

from math import ceil, log2

import numpy as np
from numpy.typing import NDArray

from engine.hearing.yin import fundamental_hz
from engine.scores.conditions import MIDDLE_C_HZ

FloatArray = NDArray[np.float32]
FROM_S, TO_S = 0.15, 0.85  # of a note: where it is steady
SEARCHED = 1.3  # octaves around what was asked for: another octave is heard as one
NEAR_CENTS = 30.0
PERIODS = 6  # in a window
SMALLEST, LARGEST = 2048, 16384  # samples of it


def cents_off(note: FloatArray, octaves: float, rate_hz: int) -> float | None:
    """How far a note [samples] is from `octaves` above middle C, the median over its steady part;
    None for one that is silent there."""
    part = note[round(FROM_S * rate_hz) : round(TO_S * rate_hz)]
    if np.abs(part).max(initial=0.0) < 1e-4:
        return None
    hz = MIDDLE_C_HZ * 2.0**octaves
    window = min(LARGEST, max(SMALLEST, 2 ** ceil(log2(PERIODS * rate_hz / hz))))
    found = fundamental_hz(part, rate_hz, hz / 2**SEARCHED, min(hz * 2**SEARCHED, rate_hz / 4),
                           window, window // 4)
    # At both ends a window reaches past the note.
    inner = found[2:-2] if len(found) > 6 else found
    return float(1200 * np.log2(np.median(inner) / hz))


def share_in_tune(notes: list[FloatArray], octaves: list[float], rate_hz: int) -> float | None:
    """Share of notes within `NEAR_CENTS` of what was asked for; silent ones are not."""
    if not notes:
        return None
    off = [cents_off(note, asked, rate_hz) for note, asked in zip(notes, octaves, strict=True)]
    return float(np.mean([cents is not None and abs(cents) <= NEAR_CENTS for cents in off]))
