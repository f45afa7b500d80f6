"""How wide a sound of two channels is: the level of its side (half the difference) over that of its
middle (half the sum), in dB. One sound on both channels has none, unrelated channels have 0."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.evaluation.texture import OCTAVE_HEARD_DB, octave_levels, spectrogram

FloatArray = NDArray[np.float32]
NARROWEST_DB = -60.0  # of the figure
MOST_DB = 30.0  # either way: what lies further below is not heard, and such widths count as equal
Levels = NDArray[np.float64]


class Width:
    """Of an original [2, samples], with what is worth computing once."""

    def __init__(self, audio: FloatArray, rate_hz: int, window: int) -> None:
        self.rate_hz, self.window = rate_hz, window
        self.whole, self.octaves, self.heard = self._widths(audio)

    def measure(self, sound: FloatArray, put: Callable[[str, Any], None],
                row: Callable[[str, Any], None]) -> None:
        """`put` the width of a sound of the same shape and the mean error of its octaves that are
        heard in the original, `row` by how much each is too wide."""
        whole, octaves, _ = self._widths(sound)
        apart = np.where(self.heard, _bounded(octaves) - _bounded(self.octaves), np.nan)
        put("width_db", whole)
        put("width_error_db", float(np.nanmean(np.abs(apart))) if self.heard.any() else np.nan)
        row("width_octave_db", apart)

    def _widths(self, audio: FloatArray) -> tuple[float, Levels, NDArray[np.bool_]]:
        """Of everything and of each octave; and which octaves are heard at all."""
        left, right = audio.astype(np.float64)
        parts = [(0.5 * (left + sign * right)).astype(np.float32)[None] for sign in (1, -1)]
        power = [float(np.square(part, dtype=np.float64).mean()) for part in parts]
        middle, side = (octave_levels(spectrogram(part, self.window), self.rate_hz)
                        for part in parts)
        heard = np.maximum(middle, side) > OCTAVE_HEARD_DB
        whole = _over(power[1], power[0]) if max(power) > 10 ** (OCTAVE_HEARD_DB / 10) else np.nan
        return whole, side - middle, heard


def _over(side: float, middle: float) -> float:
    """In dB, within ± 60."""
    tiny = 10 ** (NARROWEST_DB / 10) * max(side, middle)
    return float(10 * np.log10(max(side, tiny) / max(middle, tiny)))


def _bounded(widths: Levels) -> Levels:
    return np.clip(widths, -MOST_DB, MOST_DB)
