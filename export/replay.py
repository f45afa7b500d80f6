"""Was it drawn right? What a method that draws gave is scored afterwards, all samples at once.

An autoregressive file that draws one other sample goes on with another sound, so outputs cannot be
compared. Here the past is the file's own, and the noise is known: in float64, the network says for
each sample which number must be drawn, and where the file drew another one, by how much the noise
missed it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from engine.models.base import Model
from engine.models.looped import Followed, Looped

# Of numbers and shares: what float32 does to them, and, roughly, what fewer bits may do.
ROUNDING = {"float32": 1e-4, "bf16w": 0.03, "q16x8": 0.1}


@dataclass(frozen=True)
class Replay:
    """Numbers that were drawn, how many of them as in float64, and the largest miss of the others,
    as a probability; 1 and more: no noise gives it. `mean`: over all, those included."""

    draws: int
    same: int
    worst: float
    mean: float


def is_looped(model: Model, method: str) -> bool:
    """Whether a method reads its own output."""
    return Looped.of(model, method) is not None


def draws(model: Model, method: str) -> bool:
    """Whether what a method puts out is drawn: after its own output, or after a given sound."""
    return is_looped(model, method) or Followed.of(model, method) is not None


@torch.no_grad()
def replay(model: Model, method: str, x: Tensor, y: Tensor, attributes: Mapping[str, Tensor],
           dtype: str = "float32") -> Replay:
    """Score the output `y` [out_channels, time] of a stream that began with `x` [in_channels,
    frames]. `model` is in float64, with fixed weights; `dtype`: of the file that played."""
    parts = Looped.of(model, method) or Followed.of(model, method)
    assert parts is not None
    x, drawn = x[None].double(), parts.drawn(y[None].double())
    if isinstance(parts, Looped):
        conditions = parts.conditions(x, attributes)
        given = parts.loop.teacher(conditions, drawn, attributes)
        shut, rest = parts.loop.silence(conditions)
    else:
        given, sounding = parts.given(x, model.init_state(method), attributes)
        shut, rest = sounding == 0, parts.drawn(torch.zeros_like(sounding))
    margins = parts.draw.margins(given, drawn, attributes, ROUNDING[dtype])
    margins = torch.where(shut, (drawn != rest).to(margins.dtype), margins)
    return Replay(margins.numel(), int((margins == 0).sum()), float(margins.max()),
                  float(margins.mean()))
