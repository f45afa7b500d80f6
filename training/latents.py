"""Latents that can be played: in range, in the order of what they carry, measured. All of it
happens in a copy when weights are saved; training itself never sees it."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import torch
from torch import Tensor

from engine.description import Latent
from engine.models.base import Model
from training.monitor import ACTIVE_NATS, latent_state

LARGEST = 4.0  # what is measured stays below this: half of what the guard lets through
ACTIVE = 0.05  # a latent that varies less carries nothing; it is left alone
PERCENTILES = (0.01, 0.99)
PART = 8  # crops that are encoded at a time


@torch.no_grad()
def playable(model: Model, crops: Tensor | None, active: int | None = None) -> Model:
    """A copy of `model` whose latents are in range, ordered by what they carry on `crops` [count,
    channels, samples] and measured there. Only the first `active` are kept, if that is given: the
    others stand still at their mean. `model` itself when there is nothing to measure."""
    if crops is None or not hasattr(model, "permute_latents"):
        return model
    copy: Any = deepcopy(model).eval()
    mean, log_std, scale = into_range(copy, crops)
    nats = torch.tensor(carried(mean, log_std), device=mean.device)
    order = torch.argsort(nats, descending=True, stable=True)
    copy.permute_latents(order)
    mean, nats, scale = mean[order], nats[order], scale[order]
    kept = len(nats) if active is None else min(active, len(nats))
    if kept < len(nats):
        copy.silence_latents(kept, mean.mean(dim=1))
        mean[kept:] = nats[kept:] = 0
    low, high = torch.quantile(mean, torch.tensor(PERCENTILES, device=mean.device), dim=1)
    copy.set_latents(tuple(
        Latent(_rounded(low[i]), _rounded(high[i]), _rounded(mean[i].mean()),
               _rounded(mean[i].std()), _rounded(nats[i]), bool(nats[i] > ACTIVE_NATS),
               float(scale[i]), int(order[i]))
        for i in range(len(nats))
    ))
    return copy


def posteriors(model: Any, crops: Tensor) -> tuple[Tensor, Tensor]:
    """Means and log_stds of all frames of all crops, each [latents, frames]; at most as many as a
    percentile can be taken of."""
    device = next(model.parameters()).device
    parts = [model.distribution(part.to(device)) for part in crops.split(PART)]
    mean, log_std = (torch.cat(each).transpose(0, 1).flatten(1) for each in
                     zip(*parts, strict=True))
    stride = 1 + mean.shape[1] // 2**18
    return mean[:, ::stride].float(), log_std[:, ::stride].float()


def carried(mean: Tensor, log_std: Tensor) -> tuple[float, ...]:
    """Nats per frame of each latent, from posteriors [latents, frames]."""
    variance = mean.var(dim=1) + torch.exp(2 * log_std).mean(dim=1)
    return latent_state(variance, log_std.mean(dim=1), 1.0).nats


def _rounded(value: Tensor) -> float:
    return round(float(value), 4)


@torch.no_grad()
def into_range(model: Any, crops: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Bring the latents of `model`, in place, to a spread of at most 1 and within `LARGEST` on
    `crops` [count, channels, samples]. Returns the posteriors' means and log_stds afterwards, each
    [latents, frames], and what was divided by [latents].

    Weak regularisation lets latents grow (to 14, seen), and every method clamps its input to 8:
    `decode` would then hear something else than `forward`. Knobs and CVs want one range, too."""
    mean, log_std = posteriors(model, crops)
    scale = factors(mean)
    model.rescale_latents(scale)
    return mean / scale[:, None], log_std - scale.log()[:, None], scale


def factors(by_latent: Tensor) -> Tensor:
    """What to divide each latent by, from posterior means [latents, frames]: a power of two, so
    that the arithmetic stays the same to the bit."""
    spread, peak = by_latent.std(dim=1), by_latent.abs().amax(dim=1)
    wanted = torch.maximum(spread, peak / LARGEST)
    powers = torch.exp2(torch.ceil(torch.log2(wanted.clamp_min(1e-6))))
    return torch.where(spread > ACTIVE, powers, torch.ones_like(powers))
