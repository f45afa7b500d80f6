"""How smoothly descriptors of the sound go along a way, with gradients: the spectral centroid and
bandwidth in octaves, flatness and level in dB, means over a place's frames.

They are those of `training.evaluation.descriptors`, by which ways are judged, restated for a
spectrum that the search has at hand.
"""

from __future__ import annotations

import torch
from torch import Tensor

from training.evaluation.descriptors import QUIET_DB

FLOOR = 1e-15  # of power
NEPERS_TO_DB = 8.685889638
LEAST = 1e-4  # roughness below which nothing is to be gained


def descriptors(power: Tensor, rate_hz: int) -> Tensor:
    """Power [places, bins, frames], a full-scale sine having about 1/4, from 0 Hz to the Nyquist
    frequency -> [places, 4]. Frames that are too quiet to be like anything count for the level
    alone."""
    hertz = torch.linspace(0, rate_hz / 2, power.shape[1], dtype=power.dtype)[:, None]
    magnitude = (power + FLOOR).sqrt()
    share = magnitude / magnitude.sum(dim=1, keepdim=True)
    centroid = (share * hertz).sum(dim=1, keepdim=True)
    spread = (share * (hertz - centroid).square()).sum(dim=1).clamp_min(1).sqrt()
    known = power.clamp_min(FLOOR)
    flatness = NEPERS_TO_DB / 2 * (known.log().mean(dim=1) - known.mean(dim=1).log())
    level = NEPERS_TO_DB / 2 * known.sum(dim=1).log()
    loud = (level.detach() > QUIET_DB).to(power.dtype)
    count = loud.sum(dim=1).clamp_min(1)
    rows = [(values * loud).sum(dim=1) / count
            for values in (centroid[:, 0].clamp_min(1).log2(), spread.log2(), flatness)]
    return torch.stack([*rows, level.mean(dim=1)], dim=1)


def roughness(values: Tensor) -> Tensor:
    """Of descriptors along a way [places, descriptors], each: root of the sum of squared second
    differences."""
    second = values[2:] - 2 * values[1:-1] + values[:-2]
    return (second.square().sum(dim=0) + LEAST**2).sqrt()
