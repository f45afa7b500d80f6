"""Whether a model plays what it has learnt from: how far its sounds are from the nearest of those.

Sounds are compared by quarter seconds: mean and spread of the level in each of a few mel bands.
These change little when a copy begins between two frames, which the descriptors of single frames do
not allow. What was learnt is looked up from every frame on.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from training.evaluation.spectra import decibels, mel_power

FloatArray = NDArray[np.float32]
Prints = NDArray[np.float32]

BANDS = 24
WINDOW_SECONDS = 0.032
HOP_SECONDS = 1 / 60
SIZE = 15  # frames of a print: a quarter of a second
FLOOR = 1e-7  # of mel power: below is silence
AT_ONCE = 128  # prints that are looked up together


def prints(audio: FloatArray, rate_hz: int, step: int = SIZE) -> Prints:
    """Of [channels, samples], one for every `step` frames: [prints, 2 * BANDS]."""
    window = 2 ** round(np.log2(WINDOW_SECONDS * rate_hz))
    hop = max(1, round(HOP_SECONDS * rate_hz))
    level = decibels(mel_power(audio.mean(axis=0), rate_hz, window, hop, BANDS), FLOOR)
    level = np.pad(level, ((0, 0), (0, max(0, SIZE - level.shape[1]))), mode="edge")
    parts = np.lib.stride_tricks.sliding_window_view(level, SIZE, axis=1)[:, ::step]
    return np.concatenate([parts.mean(axis=-1), parts.std(axis=-1)]).T.astype(np.float32)


class Nearest:
    """A collection to be looked up in."""

    def __init__(self, sounds: list[FloatArray], rate_hz: int, units: Nearest | None = None
                 ) -> None:
        """`units`: where distances are measured in the units of another collection."""
        self.rate_hz = rate_hz
        known = np.concatenate([prints(audio, rate_hz, 1) for audio in sounds])
        spread = known.std(axis=0)
        own = known.mean(axis=0), np.where(spread > 1e-6, spread, 1)
        self.units: tuple[Prints, Prints] = units.units if units else own
        self._known = self._scaled(known)
        self._squares = np.square(self._known).sum(axis=1)

    def distance(self, sounds: list[FloatArray]) -> float:
        """Median over quarter seconds of the distance to the nearest of the collection."""
        asked = self._scaled(np.concatenate([prints(audio, self.rate_hz) for audio in sounds]))
        found = [np.square(part).sum(axis=1)
                 + (self._squares - 2 * part @ self._known.T).min(axis=1)
                 for part in np.array_split(asked, -(-len(asked) // AT_ONCE))]
        return float(np.median(np.sqrt(np.maximum(np.concatenate(found), 0))))

    def _scaled(self, found: Prints) -> NDArray[np.float64]:
        centre, spread = self.units
        return ((found - centre) / spread).astype(np.float64)
