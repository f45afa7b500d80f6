"""Where the numbers that a path moves usually lie, and places among them.

A latent has the mean and the spread that were measured of it, z of strokes is normal, and a code's
numbers are of -1 to 1, all equally likely. In normal coordinates w all three are normal.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
from numpy.typing import NDArray

from engine.description import Latent
from engine.players.path_file import LATENTS, LOOPS, Moved
from engine.scores.loops import made_up_code

FloatArray = NDArray[np.float32]
Array = NDArray[np.float64]
NORMAL_TO_UNIFORM = 0.851  # as engine/models/loops_parts.py has it
FARTHEST = 3.0  # standard deviations of |w|^2 above its mean, until a point has left the prior


@dataclass(frozen=True)
class Prior:
    """Mean and spread of each number; `bounded`: they are even over -1 ... 1."""

    mean: Array
    std: Array
    bounded: bool = False

    @property
    def count(self) -> int:
        """Of numbers."""
        return len(self.mean)

    def normal(self, z: FloatArray) -> Array:
        """Numbers [..., count] as they are in normal coordinates."""
        if self.bounded:
            return np.arctanh(np.clip(z, -0.999, 0.999).astype(np.float64)) / NORMAL_TO_UNIFORM
        return (np.asarray(z, np.float64) - self.mean) / self.std

    def numbers(self, w: Array) -> FloatArray:
        """The inverse of `normal`."""
        z = np.tanh(NORMAL_TO_UNIFORM * w) if self.bounded else self.mean + self.std * w
        return z.astype(np.float32)

    def draw(self, seed: int) -> FloatArray:
        """A place of the prior [count]: the same for the same seed."""
        if self.bounded:
            return made_up_code(self.count, seed)
        return self.numbers(np.random.default_rng(seed).standard_normal(self.count))

    def reach(self) -> float:
        """|w|^2 from which on a point lies outside what the prior has."""
        return self.count + FARTHEST * sqrt(2 * self.count)


def prior_of(moved: Moved, latents: Sequence[Latent]) -> Prior:
    """`latents`: what was measured of a coder's; where nothing was, they are taken as normal. What
    carries nothing stays where it is."""
    count = len(moved.places)
    if moved.kind == LOOPS:
        return Prior(np.zeros(count), np.full(count, 1 / sqrt(3)), bounded=True)
    if moved.kind == LATENTS and latents:
        known = latents[:count]
        return Prior(np.array([latent.mean for latent in known]),
                     np.array([max(latent.std, 1e-3) if latent.active else 1e-6
                               for latent in known]))
    return Prior(np.zeros(count), np.ones(count))
