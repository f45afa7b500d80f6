"""How many bits each sample of a known sound costs a model that draws sound sample by sample.

The sound is told in `Steps`, whatever the model draws: what a mixture of logistics gives to a step
is the share of it between the step's edges; a class is spread evenly over all that is nearest to
it. So a model of 256 classes, one of 64 and a mixture can be compared, with each other and with
predictors.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil, log

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from engine.errors import TudorError
from engine.layers import Categorical, Embed, LogisticMixture
from engine.models.base import Model
from engine.models.looped import Looped
from training.evaluation.steps import Array, Steps

FloatArray = NDArray[np.float32]
PIECE_SECONDS, RUN_IN_SECONDS = 4.0, 1.0  # at once, and what is heard before it counts
BEYOND = 4.0  # full scales: where the outer steps of a mixture end, past all that is drawn


def sound_loop(model: Model, method: str) -> Looped:
    """The loop of a method that draws one channel of sound; an error in one line without."""
    parts = Looped.of(model, method)
    if parts is None:
        raise TudorError(f"{model.family}.{method} has no loop whose draws have a probability")
    if parts.method.out_channels != 1 or parts.method.out_ratio != 1:
        raise TudorError(f"{model.family}.{method} does not draw one channel of sound")
    if not isinstance(parts.draw, Categorical | LogisticMixture):
        raise TudorError(f"{model.family}.{method}: what {type(parts.draw).__name__} draws cannot "
                         "be told in steps")
    return parts


@torch.no_grad()
def model_bits(model: Model, method: str, audio: NDArray[np.floating], steps: Steps,
               conditions: FloatArray | None = None) -> Array:
    """Bits of each sample of `audio` [samples], all that was before being known; `conditions`
    [in_channels, rows] lie beside it, 0 without them."""
    parts = sound_loop(model, method)
    numbers = torch.from_numpy(steps.numbers(audio))
    heard = torch.from_numpy(steps.values)[numbers].float()[None, None]
    x = _rows(parts, len(audio), conditions)
    found = [_piece(model, parts, steps, numbers[first:end], heard[..., first:end],
                    x[..., _row(parts, first) : _row(parts, end)])[counted - first :]
             for first, counted, end in _pieces(len(audio), model, parts)]
    return np.concatenate(found)


def _row(parts: Looped, sample: int) -> int:
    return ceil(sample / parts.method.in_ratio)


def _rows(parts: Looped, samples: int, conditions: FloatArray | None) -> Tensor:
    """[1, in_channels, rows] for so many samples, in whole smallest blocks."""
    spec = parts.method
    rows = ceil(samples / spec.ratio) * spec.ratio // spec.in_ratio
    x = torch.zeros(1, spec.in_channels, rows)
    if conditions is not None:
        if len(conditions) != spec.in_channels:
            raise TudorError(f"{spec.name} takes {spec.in_channels} conditions, there are "
                             f"{len(conditions)}")
        known = torch.from_numpy(np.ascontiguousarray(conditions[:, :rows], dtype=np.float32))
        x[0, :, : known.shape[1]] = known
        x[0, :, known.shape[1] :] = known[:, -1:]
    return x


def _pieces(samples: int, model: Model, parts: Looped) -> Iterator[tuple[int, int, int]]:
    """Where each begins, from where on it counts, and where it ends."""
    unit, rate = parts.method.ratio, model.sample_rate_hz
    size = max(1, round(PIECE_SECONDS * rate / unit)) * unit
    before = max(1, round(RUN_IN_SECONDS * rate / unit)) * unit
    for counted in range(0, samples, size):
        yield max(0, counted - before), counted, min(samples, counted + size)


def _piece(model: Model, parts: Looped, steps: Steps, numbers: Tensor, heard: Tensor, x: Tensor
           ) -> Array:
    """Bits [samples] from fresh state."""
    samples, unit = heard.shape[2], parts.method.ratio
    late = parts.method.lookahead_samples  # conditions reach the loop late, as in training
    whole = F.pad(heard, (late, -(samples + late) % unit))
    rows = whole.shape[2] // parts.method.in_ratio
    x = F.pad(x, (0, max(0, rows - x.shape[2])), mode="replicate")[..., :rows]
    drawn = parts.drawn(whole)
    given = parts.given(x, drawn, model.default_attributes())
    given = given if given.dtype == torch.float64 else given.float()
    return _bits(parts, given[..., late : late + samples], steps, numbers)


def _bits(parts: Looped, given: Tensor, steps: Steps, numbers: Tensor) -> Array:
    """Of steps `numbers` [samples], from what a draw is given [1, channels, samples]."""
    draw = parts.draw
    if isinstance(draw, LogisticMixture):
        edges = np.clip(steps.edges, -BEYOND, BEYOND)
        low, high = (torch.from_numpy(edges[side:])[numbers][None, None].to(given) for side in
                     (0, 1))
        nats = draw.log_prob_between(given, low, high)[0, 0]
        return np.asarray(-nats.double() / log(2))
    logs = draw.distribution(given)[0, 0]  # [classes, samples]
    share = torch.from_numpy(shares(_values(parts), steps)).to(logs)
    if torch.equal(share, torch.eye(len(steps)).to(share)):
        nats = logs.gather(0, numbers[None])[0]
    else:
        nats = torch.log((logs.exp() * share[:, numbers]).sum(dim=0))
    return np.asarray(-nats.double() / log(2))


def _values(parts: Looped) -> Array:
    """The sample of each class: what the table behind the loop says, else its number."""
    values = torch.arange(parts.draw.each, dtype=torch.float64)[:, None]
    for layer in parts.behind:
        assert isinstance(layer, Embed)  # else `Looped.drawn` would have refused it
        values = layer.table.detach().double()[values[:, 0].long()]
    return np.asarray(values[:, 0])


def shares(values: Array, steps: Steps) -> Array:
    """Which part of all that is nearest to each of `values` lies in each step, within full scale:
    [values, steps]."""
    order = np.argsort(values, kind="stable")
    own = Steps.of(values)
    low, high = (np.clip(own.edges[side : len(values) + side], -1, 1)[:, None] for side in (0, 1))
    first, last = (np.clip(steps.edges[side : len(steps) + side], -1, 1) for side in (0, 1))
    overlap = np.maximum(0, np.minimum(high, last) - np.maximum(low, first))
    found = np.zeros((len(values), len(steps)))
    found[order] = overlap / np.maximum(high - low, 1e-12)
    return found
