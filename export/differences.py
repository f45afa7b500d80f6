"""How far two streams are apart: the largest difference, and error against signal."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, log10
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]


@dataclass
class Differences:
    """Of a method, over all passes."""

    error: float = 0.0
    peak: float = 0.0
    noise: float = 0.0
    signal: float = 0.0

    def add(self, streamed: FloatArray, reference: FloatArray) -> None:
        self.error = max(self.error, gap(streamed, reference))
        self.peak = max(self.peak, float(np.abs(reference).max()))
        self.noise += float(np.square(streamed.astype(np.float64) - reference).sum())
        self.signal += float(np.square(reference, dtype=np.float64).sum())

    @property
    def snr_db(self) -> float:
        """Signal to error; `inf` when they are equal, `-inf` when nothing is right."""
        if self.error in (0.0, inf) or self.signal == 0:
            return inf if self.error == 0 else -inf
        return 10 * log10(self.signal / self.noise)


def gap(a: NDArray[Any], b: NDArray[Any]) -> float:
    """Largest difference. A NaN must not vanish in a comparison: it is the largest there is."""
    found = np.abs(a.astype(np.float64) - b)
    return float(found.max(initial=0.0)) if np.isfinite(found).all() else inf
