"""What teacher forcing hides from a model that draws frame by frame, put back by chance.

    conditions   of some examples are dropped, so that one model plays with and without them
    noise        on what is read back: when it plays it reads its own draws, which are a little off
"""

from __future__ import annotations

from math import log

import torch
from torch import Tensor

from engine.description import Method
from engine.layers.draw import Categorical, Draw
from engine.scores.conditions import CLASS, FREE
from training.data.base import Shard

KEPT = (CLASS,)  # of the conditions, where the others are dropped and FREE says so
MU, STEPS = 255.0, 256  # mu-law of 8 bits (ITU-T G.711), by whose steps noise is measured


def unconditional(x: Tensor, spec: Method) -> Tensor:
    """Conditions [batch, in_channels, frames] that say nothing but that."""
    if FREE not in spec.input_labels:
        return torch.zeros_like(x)
    kept = x.new_tensor([[float(label in KEPT)] for label in spec.input_labels])
    free = x.new_tensor([[float(label == FREE)] for label in spec.input_labels])
    return x * kept + free


def dropped(x: Tensor, spec: Method, share: float, shard: Shard) -> Tensor:
    """Conditions, those of about `share` of the examples dropped; of a model that can do without.
    """
    if not share or FREE not in spec.input_labels:
        return x
    drop = shard.draw(torch.rand, (len(x), 1, 1), device=x.device) < share
    return torch.where(drop, unconditional(x, spec), x)


def noisy(drawn: Tensor, draw: Draw, steps: float, shard: Shard) -> Tensor:
    """What was drawn [batch, channels, frames] with normal noise of so many steps: of mu-law, or
    classes."""
    if not steps:
        return drawn
    noise = steps * shard.draw(torch.randn, drawn.shape, device=drawn.device, dtype=drawn.dtype)
    if isinstance(draw, Categorical):
        return (drawn + noise).round().clamp(0, draw.each - 1)
    return drawn + noise * (1 + MU * drawn.abs()) * (log(1 + MU) / MU * 2 / STEPS)


def mu_law_steps(y: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Edges of the step, of `count` in [-1, 1], that each of `y` lies in."""
    mu = count - 1
    companded = y.sign() * torch.log1p(mu * y.abs()) / log(1 + mu)
    step = ((companded + 1) * (count / 2)).floor().clamp(0, count - 1)

    def edge(number: Tensor) -> Tensor:
        place = number * (2 / count) - 1
        return place.sign() * torch.expm1(place.abs() * log(1 + mu)) / mu

    return edge(step), edge(step + 1)
