"""Paths by their shape, in the numbers of a model: [points, numbers].

    traversal   one number from end to end, the others held
    line        from place to place, straight
    sphere      from place to place at the radii in between, as normal numbers lie on a shell
    walk        wanders as an Ornstein-Uhlenbeck process, which never leaves the prior
    circle      about a centre, in a plane
    spiral      the same with a radius that grows from nothing, and perhaps a pitch out of the plane

Radii, steps and pitches are standard deviations of the prior.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import pi, sqrt
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from engine.errors import ConfigError
from training.evaluation.paths.hearing import Hearing
from training.evaluation.paths.prior import Prior

FloatArray = NDArray[np.float32]
Array = NDArray[np.float64]
Plane = Literal["random", "pca", "descriptors"]
PLANES: tuple[Plane, ...] = ("random", "pca", "descriptors")
PARALLEL = 1e-4  # radians: places that lie so have a line between them, not a circle
DRAWS = 64  # places at which it is heard what varies most
STEP = 0.05  # standard deviations to either side, in which a descriptor's slope is measured
END = 2.0  # standard deviations from the mean: where a number is taken to end that nobody measured


@dataclass(frozen=True)
class Round:
    """Of circles and spirals."""

    radius: float = 1.5
    turns: float = 1.0
    pitch: float = 0.0  # a turn, along a third direction


def traversal(prior: Prior, place: FloatArray, index: int, ends: tuple[float, float], points: int
              ) -> FloatArray:
    """Number `index` (from 0) of `place` from the one end to the other."""
    if not 0 <= index < prior.count:
        raise ConfigError(f"--number {index + 1}: there are {prior.count} numbers")
    path = np.repeat(place[None], points, axis=0)
    path[:, index] = np.linspace(*ends, points)
    return path


def line(places: Sequence[FloatArray], points: int) -> FloatArray:
    """Straight from place to place, `points` for each piece."""
    return joined([np.stack([a + t * (b - a) for t in np.linspace(0, 1, points)])
                   for a, b in pairwise(places)])


def sphere(prior: Prior, places: Sequence[FloatArray], points: int) -> FloatArray:
    """Spherical interpolation in normal coordinates (Shoemake 1985; White 2016): the direction
    turns evenly, the radius goes from the one to the other. A straight line where there is no
    angle, or where places lie opposite each other."""
    parts = []
    for a, b in pairwise(places):
        parts.append(prior.numbers(_arc(prior.normal(a), prior.normal(b), points)))
        parts[-1][[0, -1]] = a, b
    return joined(parts)


def _arc(a: Array, b: Array, points: int) -> Array:
    t = np.linspace(0, 1, points)[:, None]
    lengths = np.linalg.norm(a), np.linalg.norm(b)
    if min(lengths) < 1e-9:
        return a + t * (b - a)
    angle = float(np.arccos(np.clip(a @ b / (lengths[0] * lengths[1]), -1, 1)))
    if angle < PARALLEL or pi - angle < PARALLEL:
        return a + t * (b - a)
    first, last = np.sin((1 - t) * angle), np.sin(t * angle)
    direction = (first * a / lengths[0] + last * b / lengths[1]) / np.sin(angle)
    return direction * (lengths[0] + t * (lengths[1] - lengths[0]))


def walk(prior: Prior, start: FloatArray, points: int, step: float, seed: int) -> FloatArray:
    """From `start` on. A step keeps the share `keep` of what was and adds what lacks to a spread of
    1, whose size is about `step` in each number: w' = keep w + sqrt(1 - keep^2) n."""
    if not 0 < step <= sqrt(2):
        raise ConfigError(f"--step must lie above 0, and be at most 1.41 for places that have "
                          f"nothing to do with each other, got {step:g}")
    keep = 1 - step**2 / 2
    rng, w = np.random.default_rng((seed, 1)), [prior.normal(start)]  # not as `Prior.draw`
    for _ in range(points - 1):
        w.append(keep * w[-1] + sqrt(1 - keep**2) * rng.standard_normal(prior.count))
    path = prior.numbers(np.stack(w))
    path[0] = start
    return path


def circle(prior: Prior, centre: FloatArray, plane: Array, shape: Round, points: int
           ) -> FloatArray:
    """Round `centre` in `plane` [2 or more, numbers], whose rows are orthonormal."""
    return _turning(prior, centre, plane, shape, np.ones(points))


def spiral(prior: Prior, centre: FloatArray, plane: Array, shape: Round, points: int
           ) -> FloatArray:
    """As a circle, from its centre out to the radius, and along the third row of `plane`."""
    return _turning(prior, centre, plane, shape, np.linspace(0, 1, points))


def _turning(prior: Prior, centre: FloatArray, plane: Array, shape: Round, growing: Array
             ) -> FloatArray:
    t = np.linspace(0, 1, len(growing))
    angle = 2 * pi * shape.turns * t
    radius = shape.radius * growing
    w = prior.normal(centre) + (radius * np.cos(angle))[:, None] * plane[0]
    w = w + (radius * np.sin(angle))[:, None] * plane[1]
    if shape.pitch:
        if len(plane) < 3:
            raise ConfigError(f"--pitch leads out of the plane, and there are {prior.count} "
                              "numbers only")
        w = w + (shape.pitch * shape.turns * (t - 0.5))[:, None] * plane[2]
    return prior.numbers(w)


def joined(parts: Sequence[FloatArray]) -> FloatArray:
    """Pieces of which each begins where the one before ends."""
    found: FloatArray = np.concatenate([parts[0], *(part[1:] for part in parts[1:])])
    return found.astype(np.float32)


# --- directions ---------------------------------------------------------------------------------


def plane_of(hearing: Hearing, kind: Plane, centre: FloatArray, seed: int) -> Array:
    """Three orthonormal directions in normal coordinates, two where there are no more:

        random        any
        pca           those along which the sound of places drawn from the prior varies most:
                      principal components of what is heard, as linear functions of w
        descriptors   in which brightness rises fastest at the centre; then level; then any
    """
    rng = np.random.default_rng(seed)
    found = random_plane(hearing.prior, hearing.name, rng)
    if kind == "pca":
        found = np.concatenate((_components(hearing, rng), found))
    elif kind == "descriptors":
        found = np.concatenate((_slopes(hearing, centre), found))
    return orthonormal(found)[: min(3, hearing.prior.count)]


def random_plane(prior: Prior, name: str, rng: np.random.Generator) -> Array:
    """Any three orthonormal directions, two where there are no more."""
    if prior.count < 2:
        raise ConfigError(f"{name} has one number alone to move: no circle fits in")
    return orthonormal(rng.standard_normal((3, prior.count)))[: min(3, prior.count)]


def orthonormal(rows: Array) -> Array:
    """Rows made so one after the other (Gram and Schmidt); what lies within those before is left
    out."""
    found: list[Array] = []
    for row in rows:
        rest = row - sum((row @ own * own for own in found), np.zeros_like(row))
        if np.linalg.norm(rest) > 1e-6 * max(float(np.linalg.norm(row)), 1e-12):
            found.append(rest / np.linalg.norm(rest))
    return np.stack(found)


def _components(hearing: Hearing, rng: np.random.Generator) -> Array:
    """[2, numbers]."""
    prior = hearing.prior
    w = rng.standard_normal((max(DRAWS, 2 * prior.count), prior.count))
    heard = hearing.heard(prior.numbers(w))[0].double().numpy()
    heard = heard - heard.mean(axis=0)
    scores = np.linalg.svd(heard, full_matrices=False)[0][:, :2]
    found: Array = np.linalg.lstsq(w - w.mean(axis=0), scores, rcond=None)[0].T
    return found


def _slopes(hearing: Hearing, centre: FloatArray) -> Array:
    """Of the middle of the spectrum, in bands, and of the level, in normal coordinates:
    [2, numbers]."""
    prior, w = hearing.prior, hearing.prior.normal(centre)
    moved = np.concatenate([w + side * STEP * np.eye(prior.count) for side in (-1, 1)])
    heard = hearing.heard(prior.numbers(moved))[0]
    heard = heard * heard.shape[1] ** 0.5
    bands = heard.reshape(len(moved), hearing.bands, -1).mean(dim=2)
    share = torch.softmax(bands, dim=1)
    middle = share @ torch.arange(hearing.bands, dtype=share.dtype)
    both = torch.stack((middle, bands.mean(dim=1))).double().numpy()
    return (both[:, prior.count :] - both[:, : prior.count]) / (2 * STEP)
