"""How alike two collections of points are, where a point is what a network hears or sees in an
example: [examples, features]."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]
NEIGHBOURS = 3  # of precision and recall


def frechet(real: Points, made: Points) -> float:
    """Distance of two Gaussians (Dowson and Landau 1982; Heusel et al. 2017) that features are
    taken for, over the trace of the real covariance."""
    one, two = np.cov(real.T), np.cov(made.T)
    values = np.linalg.eigvals(one @ two).real.clip(0)
    between = np.square(real.mean(axis=0) - made.mean(axis=0)).sum()
    return float((between + np.trace(one) + np.trace(two) - 2 * np.sqrt(values).sum())
                 / max(np.trace(one), 1e-12))


def precision_recall(real: Points, made: Points) -> tuple[float, float]:
    """Share of what is made that lies among what is real, and the other way round (Kynkäänniemi et
    al. 2019): within the distance to the third neighbour of any point."""
    between = distances(real, made)
    near_real, near_made = (np.sort(distances(x, x), axis=1)[:, min(NEIGHBOURS, len(x) - 1)]
                            for x in (real, made))
    return (float((between <= near_real[:, None]).any(axis=0).mean()),
            float((between <= near_made[None]).any(axis=1).mean()))


def diversity(points: Points, labels: NDArray[np.int64]) -> float:
    """Mean distance of two strokes of one class."""
    found = []
    for label in np.unique(labels):
        own = points[labels == label]
        if len(own) > 1:
            found.append(distances(own, own).sum() / (len(own) * (len(own) - 1)))
    return float(np.mean(found)) if found else float("nan")


def nearest(points: Points, learnt: Points) -> float:
    """Median distance to the nearest that was learnt."""
    return float(np.median(distances(points, learnt).min(axis=1)))


def distances(a: Points, b: Points) -> Points:
    """Of all pairs [a, b]."""
    squared = np.square(a).sum(axis=1)[:, None] + np.square(b).sum(axis=1) - 2 * a @ b.T
    return np.sqrt(np.maximum(squared, 0))
