"""Sound in steps: what every likelihood here is told in, whoever says it.

How many bits a sample costs depends on how finely it is told. Models and predictors are therefore
asked for the same steps, 256 of mu-law, and all of them read the past in these steps too.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.layers import mu_law_table

Array = NDArray[np.float64]
Numbers = NDArray[np.int64]


@dataclass(frozen=True)
class Steps:
    """Values [count], ascending, and the edges between them [count + 1], which end at infinity: a
    sample belongs to the value that is nearest to it."""

    values: Array
    edges: Array

    @classmethod
    def of(cls, values: NDArray[Any]) -> Steps:
        """Around these values, in any order."""
        ordered = np.sort(np.asarray(values, np.float64))
        middles = (ordered[1:] + ordered[:-1]) / 2
        return cls(ordered, np.concatenate([[-np.inf], middles, [np.inf]]))

    def __len__(self) -> int:
        return len(self.values)

    def numbers(self, audio: NDArray[Any]) -> Numbers:
        """Of the step that each sample belongs to."""
        return np.searchsorted(self.edges[1:-1], audio).astype(np.int64)

    def heard(self, audio: NDArray[Any]) -> Array:
        """The audio as it is in these steps."""
        return self.values[self.numbers(audio)]

    def widths(self, limit: float = 1.0) -> Array:
        """Of the steps [count], the outer ones up to `limit`."""
        widths: Array = np.diff(np.clip(self.edges, -limit, limit))
        return widths


@lru_cache(maxsize=4)
def mu_law_steps(count: int = 256) -> Steps:
    """As in `mu_law_table`, of which models draw; the one nearest to silence is silence."""
    values = mu_law_table(count)[:, 0].double().numpy()
    values[count // 2] = 0
    return Steps.of(values)


def even_steps(count: int) -> Steps:
    """Equal ones from -1 to 1."""
    return Steps.of(np.linspace(-1, 1, count))
