"""The way between two places that changes what is heard the least (Shao, Kumar, Fletcher 2017,
after their discrete geodesics on deep generative models; restated).

    z(t) = a + t (b - a) + std * sum_k w_k sin(pi k t),  k = 1 ... K      both ends stay, whatever w
    E(z) = (N - 1) / 2 sum_i |g(z_{i+1}) - g(z_i)|^2     over N places; g: what is heard of a place

Minimised over w, with the roughness of what the sound is described by (`smooth.py`) where it comes
near the straight line's: what the least change of a spectrum leaves free, a single descriptor may
still do. Of all ways to pass along a curve that with constant speed has the least energy,
so when w is found, the N places are laid out anew along it. The straight line, laid out anew, is
the arc-length line: it costs nothing and stands beside. To move each place by itself after that was
tried: it finds places between which the way goes through what it avoids. Less than the chord's
energy, |g(b) - g(a)|^2 / 2, cannot be.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import cos, pi
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.evaluation.paths.hearing import Hearing
from training.evaluation.paths.smooth import roughness

FloatArray = NDArray[np.float32]
Array = NDArray[np.float64]
Curve = Callable[[Array], FloatArray]  # places of 0 to 1 -> [places, numbers]
Optimiser = Literal["adam", "lbfgs"]
ENOUGH = 0.8  # of the line's roughness: less is not asked for
FINER = 4  # places at which a way is heard, for each knot


@dataclass(frozen=True)
class Search:
    """How a geodesic is looked for."""

    points: int = 13
    sines: int = 4
    steps: int = 60
    optimiser: Optimiser = "adam"
    rate: float = 0.05
    leaving: float = 1.0  # weight of what lies outside the prior; the line's energy counts 1
    smooth: float = 0.1  # weight of descriptors' roughness over the line's, above `ENOUGH` of it


@dataclass(frozen=True)
class Way:
    """Knots [points, numbers], and what is heard at them and at `FINER` - 1 places between any two,
    on straight lines, as a path is played: what lies between counts too."""

    z: FloatArray
    heard: Tensor

    @property
    def energy(self) -> float:
        return float(energy(self.heard))

    @property
    def length(self) -> float:
        return float(steps_of(self.heard).sum())

    @property
    def speed_variation(self) -> float:
        """Standard deviation over mean of the lengths between knots."""
        pieces = steps_of(self.heard).reshape(-1, FINER).sum(axis=1)
        return float(pieces.std() / pieces.mean()) if pieces.mean() > 0 else 0.0


@dataclass(frozen=True)
class Found:
    """The three ways between two places, and the least energy that there can be."""

    line: Way
    even_line: Way
    geodesic: Way
    kept_line: bool  # nothing shorter than the line was found: it is the geodesic

    @property
    def chord(self) -> float:
        heard = self.line.heard
        return float(0.5 * (heard[-1] - heard[0]).square().sum())


def energy(heard: Tensor) -> Tensor:
    """Of what is heard at places along a curve [places, features]."""
    return 0.5 * (len(heard) - 1) * (heard[1:] - heard[:-1]).square().sum()


def find(hearing: Hearing, a: FloatArray, b: FloatArray, search: Search,
         tell: Callable[[int], None] = lambda step: None) -> Found:
    """Between `a` and `b` [numbers]. `tell` hears how many steps are done."""
    def straight(t: Array) -> FloatArray:
        return (a + t[:, None] * (b - a)).astype(np.float32)

    line = way(hearing, straight(np.linspace(0, 1, search.points)))
    even_line = evened(hearing, straight, search.points)
    w = bends(hearing, a, b, search, tell)

    def bent(t: Array) -> FloatArray:
        return _bent(a, b, hearing.prior.std, w, t)

    best = evened(hearing, bent, search.points)
    straightest = min((line, even_line), key=lambda each: each.energy)
    worse = best.energy > straightest.energy
    return Found(line, even_line, straightest if worse else best, worse)


def steps_of(heard: Tensor) -> Array:
    """Distances in what is heard [places, features], from place to place."""
    found: Array = (heard[1:] - heard[:-1]).norm(dim=1).double().numpy()
    return found


def way(hearing: Hearing, z: FloatArray) -> Way:
    """Knots [points, numbers] with what is heard along them."""
    at, count = np.arange(len(z)), (len(z) - 1) * FINER + 1
    places = np.arange(count) / FINER
    fine = np.stack([np.interp(places, at, knot) for knot in z.T], axis=1)
    return Way(z, hearing.heard(fine.astype(np.float32))[0])


def bends(hearing: Hearing, a: FloatArray, b: FloatArray, search: Search,
          tell: Callable[[int], None] = lambda step: None) -> Array:
    """Weights w [sines, numbers] of the least energy, and what lies outside the prior, that were
    met, in the prior's spreads."""
    prior = hearing.prior
    t = torch.linspace(0, 1, search.points)[:, None]
    sines = torch.sin(pi * t * torch.arange(1, search.sines + 1))  # [points, sines]
    first, last = torch.from_numpy(a), torch.from_numpy(b)
    line = first + t * (last - first)
    mean, std = (torch.from_numpy(x).float() for x in (prior.mean, prior.std))
    with torch.no_grad():
        heard, described = hearing.measured(line)
    unit, rough = max(float(energy(heard)), 1e-12), roughness(described)
    ends = torch.stack((first, last))
    reach = max(prior.reach(), float(((ends - mean) / std).square().sum(dim=1).max()))
    edge = max(1.0, float(ends.abs().max()))
    w = torch.zeros(search.sines, prior.count, requires_grad=True)
    best, kept = float("inf"), w.detach().clone()

    def loss() -> Tensor:
        nonlocal best, kept
        z = line + (sines @ w) * std
        if prior.bounded:
            outside = (z.abs() - edge).clamp_min(0).sum(dim=1)
        else:
            outside = (((z - mean) / std).square().sum(dim=1) / reach - 1).clamp_min(0)
        heard, described = hearing.measured(z)
        rougher = (roughness(described) / rough - ENOUGH).clamp_min(0)
        value = (energy(heard) / unit + search.leaving * outside.sum()
                 + search.smooth * rougher.sum())
        if bool(torch.isfinite(value)) and float(value.detach()) < best:
            best, kept = float(value.detach()), w.detach().clone()
        return value

    _minimise(w, loss, search, tell)
    return kept.double().numpy()


def _minimise(w: Tensor, loss: Callable[[], Tensor], search: Search, tell: Callable[[int], None]
              ) -> None:
    """`steps` gradients of Adam, whose rate falls to nothing, or at most as many of L-BFGS."""
    steps, rate = search.steps, search.rate
    if search.optimiser == "adam":
        adam = torch.optim.Adam([w], rate)
        for step in range(steps):
            adam.param_groups[0]["lr"] = rate * 0.5 * (1 + cos(pi * step / steps))
            adam.zero_grad()
            loss().backward()  # type: ignore[no-untyped-call]
            adam.step()
            tell(step + 1)
    else:
        solver = torch.optim.LBFGS([w], max_iter=steps, max_eval=steps,
                                   line_search_fn="strong_wolfe")
        done = 0

        def closure() -> Tensor:
            nonlocal done
            solver.zero_grad()
            value = loss()
            value.backward()  # type: ignore[no-untyped-call]
            done += 1
            tell(min(done, steps))
            return value

        solver.step(closure)  # type: ignore[no-untyped-call]
    with torch.no_grad():
        loss()  # the last step counts too


def _bent(a: FloatArray, b: FloatArray, std: Array, w: Array, t: Array) -> FloatArray:
    sines = np.sin(pi * t[:, None] * np.arange(1, len(w) + 1))
    return (a + t[:, None] * (b - a) + (sines @ w) * std).astype(np.float32)


def evened(hearing: Hearing, curve: Curve, points: int) -> Way:
    """So many places of a curve, as far from one to the next along it: lengths are those of a
    finer polygon."""
    fine = np.linspace(0.0, 1.0, (points - 1) * FINER * 2 + 1)
    heard = hearing.heard(curve(fine))[0]
    lengths = np.concatenate(([0.0], np.cumsum(steps_of(heard))))
    t = np.linspace(0.0, 1.0, points)
    if lengths[-1] > 0:
        t = np.interp(t * lengths[-1], lengths, fine)
        t[0], t[-1] = 0.0, 1.0
    return way(hearing, curve(t))
