"""Was it drawn right? What an autoregressive method gave is scored afterwards, all samples at once.

A file that draws one other sample goes on with another sound, so outputs cannot be compared. Here
the past is the file's own, and the noise is known: in float64, the network says for each sample
which number must be drawn, and where the file drew another one, by how much the noise missed it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from engine.errors import TudorError
from engine.layers import Embed, Loop, Sequence, Streaming
from engine.layers.base import chain_state_shapes, run_chain
from engine.layers.draw import Draw
from engine.models.base import Model

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
    return any(isinstance(layer, Loop) for layer in _flat(model.layers_of(method)))


@torch.no_grad()
def replay(model: Model, method: str, x: Tensor, y: Tensor, attributes: Mapping[str, Tensor],
           dtype: str = "float32") -> Replay:
    """Score the output `y` [out_channels, time] of a stream that began with `x` [in_channels,
    frames]. `model` is in float64, with fixed weights; `dtype`: of the file that played."""
    layers = _flat(model.layers_of(method))
    at = next(i for i, layer in enumerate(layers) if isinstance(layer, Loop))
    loop, before = layers[at], layers[:at]
    assert isinstance(loop, Loop)
    if not isinstance(loop.draw, Draw):
        raise TudorError(f"{method}: what {type(loop.draw).__name__} draws cannot be replayed")
    drawn = y[None].double()
    for layer in reversed(layers[at + 1 :]):
        drawn = _before(layer, drawn, method)
    state = tuple(torch.zeros((1, *shape), dtype=torch.float64)
                  for shape in chain_state_shapes(before))
    conditions, _ = run_chain(before, x[None].double(), state, attributes)
    given = loop.teacher(conditions, drawn, attributes)
    margins = loop.draw.margins(given, drawn, attributes, ROUNDING[dtype])
    return Replay(margins.numel(), int((margins == 0).sum()), float(margins.max()),
                  float(margins.mean()))


def _flat(layers: Iterable[Streaming]) -> list[Streaming]:
    """Layers in the order in which they run, sequences resolved."""
    found: list[Streaming] = []
    for layer in layers:
        found += _flat(layer) if isinstance(layer, Sequence) else [layer]
    return found


def _before(layer: Streaming, y: Tensor, method: str) -> Tensor:
    """What a layer behind the loop was given."""
    if isinstance(layer, Embed):
        distance = (layer.table[None, :, :, None] - y[:, None]).abs().sum(dim=2)
        return distance.argmin(dim=1, keepdim=True).to(y.dtype)
    raise TudorError(f"{method}: {type(layer).__name__} behind a loop cannot be taken back")
