"""Seeded draws: every musical decision of a loop comes from a named random stream."""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from typing import TypeVar

import numpy as np

Choice = TypeVar("Choice")


def stream(seed: int, index: int, name: str) -> np.random.Generator:
    """A random stream that depends on (seed, index, name) and on nothing else.

    One stream per instrument and purpose: an instrument more, or a longer noise burst at a higher
    sample rate, never shifts what another one draws. A loop is the same music at every rate.
    """
    key = np.random.SeedSequence(entropy=seed, spawn_key=(index, zlib.crc32(name.encode())))
    return np.random.Generator(np.random.PCG64(key))


def between(rng: np.random.Generator, low: float, high: float) -> float:
    """Uniform in [low, high], to 4 significant digits: what metadata records is what was used."""
    return float(f"{rng.uniform(low, high):.4g}")


def log_between(rng: np.random.Generator, low: float, high: float) -> float:
    """Uniform on a logarithmic axis, as ears hear frequencies and times."""
    return float(f"{math.exp(rng.uniform(math.log(low), math.log(high))):.4g}")


def chance(rng: np.random.Generator, probability: float) -> bool:
    """True with the given probability."""
    return bool(rng.random() < probability)


def pick(
    rng: np.random.Generator, options: Sequence[Choice], weights: Sequence[float] | None = None
) -> Choice:
    """One of the options, evenly or by weight."""
    if weights is None:
        return options[int(rng.integers(len(options)))]
    edges = np.cumsum(np.asarray(weights, dtype=np.float64))
    return options[int(np.searchsorted(edges, rng.random() * edges[-1], side="right"))]
