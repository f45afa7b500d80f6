"""Latents that can be played: in range, in the order of what they carry, measured. All of it
happens in a copy when weights are saved; training itself never sees it. Controls beside the
latents keep their units and places, and are measured only."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import torch
from torch import Tensor

from engine.description import Latent
from engine.models.base import Model
from engine.models.coded import Coded
from training.objectives.described import following
from training.objectives.monitor import ACTIVE_NATS, latent_state

LARGEST = 4.0  # what is measured stays below this: half of what the guard lets through
ACTIVE = 0.05  # a latent that varies less carries nothing; it is left alone
PERCENTILES = (0.01, 0.99)
PART = 8  # crops that are encoded at a time


@torch.no_grad()
def playable(
    model: Model, crops: Tensor | None, active: int | None = None, described: bool = False
) -> Model:
    """A copy of `model` whose latents are in range, ordered by what they carry on `crops` [count,
    channels, samples] and measured there. Only the first `active` are kept, if that is given: the
    others stand still at their mean. `model` itself when there is nothing to measure. What
    controls carry is not counted. Where the first latents were taught to follow descriptors
    (`described`), those that do stay the first ones."""
    if crops is None or not isinstance(model, Coded):
        return model
    copy = deepcopy(model).eval()
    follows = following(copy, crops) if described else ("",) * copy.latent_count
    mean, log_std, scale, controls = into_range(copy, crops)
    nats = torch.tensor(carried(mean, log_std), device=mean.device)
    order = torch.argsort(nats, descending=True, stable=True)
    led = [i for i, name in enumerate(follows) if name and nats[i] > ACTIVE_NATS]
    order = torch.cat((order.new_tensor(led), order[[i not in led for i in order.tolist()]]))
    copy.permute_latents(order)
    mean, nats, scale = mean[order], nats[order], scale[order]
    kept = len(nats) if active is None else min(active, len(nats))
    if kept < len(nats):
        copy.silence_latents(kept, mean.mean(dim=1))
        mean[kept:] = nats[kept:] = 0
    measured = [_latent(mean[i], nats[i], bool(nats[i] > ACTIVE_NATS), scale[i], int(order[i]),
                        follows[order[i]] if i < len(led) else "")
                for i in range(len(nats))]
    measured += [_latent(row, nats.new_zeros(()), True, scale.new_ones(()), i)
                 for i, row in enumerate(controls, len(nats))]
    copy.set_latents(tuple(measured))
    return copy


def _latent(
    values: Tensor, nats: Tensor, active: bool, scale: Tensor, index: int, follows: str = ""
) -> Latent:
    """What is known of a latent or control from its `values` [frames]."""
    low, high = torch.quantile(values, torch.tensor(PERCENTILES, device=values.device))
    return Latent(_rounded(low), _rounded(high), _rounded(values.mean()), _rounded(values.std()),
                  _rounded(nats), active, float(scale), index, follows)


def posteriors(model: Any, crops: Tensor) -> tuple[Tensor, Tensor]:
    """Means and log_stds of all frames of all crops, each [latents, frames], controls included; at
    most as many as a percentile can be taken of."""
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
def into_range(model: Any, crops: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Bring the latents of `model`, in place, to a spread of at most 1 and within `LARGEST` on
    `crops` [count, channels, samples]. Returns the posteriors' means and log_stds afterwards, each
    [latents, frames], what was divided by [latents], and the controls [controls, frames].

    Weak regularisation lets latents grow (to 14, seen), and every method clamps its input to 8:
    `decode` would then hear something else than `forward`. Knobs and CVs want one range, too."""
    mean, log_std = posteriors(model, crops)
    count = len(mean) - len(model.controls)
    mean, log_std, controls = mean[:count], log_std[:count], mean[count:]
    scale = factors(mean)
    model.rescale_latents(scale)
    return mean / scale[:, None], log_std - scale.log()[:, None], scale, controls


def factors(by_latent: Tensor) -> Tensor:
    """What to divide each latent by, from posterior means [latents, frames]: a power of two, so
    that the arithmetic stays the same to the bit."""
    spread, peak = by_latent.std(dim=1), by_latent.abs().amax(dim=1)
    wanted = torch.maximum(spread, peak / LARGEST)
    powers = torch.exp2(torch.ceil(torch.log2(wanted.clamp_min(1e-6))))
    return torch.where(spread > ACTIVE, powers, torch.ones_like(powers))
