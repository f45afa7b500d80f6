"""Latents brought into the range that players accept; no sound changes."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import torch
from torch import Tensor

from engine.models.base import Model

LARGEST = 4.0  # what is measured stays below this: half of what the guard lets through
ACTIVE = 0.05  # a latent that varies less carries nothing; it is left alone


@torch.no_grad()
def in_range(model: Model, crops: Tensor | None) -> Model:
    """A copy whose latents have a spread of at most 1 and stay within `LARGEST` on `crops`
    [count, channels, samples]; `model` itself when there is nothing to measure.

    Weak regularisation lets latents grow (to 14, seen), and every method clamps its input to 8:
    `decode` would then hear something else than `forward`. Knobs and CVs want one range, too."""
    if crops is None or not hasattr(model, "rescale_latents"):
        return model
    copy: Any = deepcopy(model).eval()
    copy.rescale_latents(factors(copy.distribution(crops)[0]))
    return copy


def factors(mean: Tensor) -> Tensor:
    """What to divide each latent by, from posterior means [count, latents, frames]: a power of two,
    so that the arithmetic stays the same to the bit."""
    by_latent = mean.transpose(0, 1).flatten(1)  # [latents, everything]
    spread, peak = by_latent.std(dim=1), by_latent.abs().amax(dim=1)
    wanted = torch.maximum(spread, peak / LARGEST)
    powers = torch.exp2(torch.ceil(torch.log2(wanted.clamp_min(1e-6))))
    return torch.where(spread > ACTIVE, powers, torch.ones_like(powers))
