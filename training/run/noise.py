"""Other noise for every crop: in training each starts from fresh state, whose counters are 0."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from engine.layers import NoiseMultiply
from engine.layers.noise import COUNTER_PERIOD
from training.data.base import Shard


def vary_noise(model: nn.Module, shard: Shard = Shard()) -> None:  # noqa: B008
    """From now on each signal of a batch hears noise from a random place of its sequence.

    Otherwise the model would fit the one stretch of noise that it always sees from the first
    frame on, and play differently once a stream has left it behind."""
    for layer in model.modules():
        if isinstance(layer, NoiseMultiply):
            layer.register_forward_pre_hook(partial(_elsewhere, shard))


def _elsewhere(shard: Shard, layer: Any, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    x, (counter,), *attributes = arguments
    layer.first_stream = shard.rank * len(x)
    return x, (random_counter(counter, shard),), *attributes


def random_counter(counter: Tensor, shard: Shard = Shard()) -> Tensor:  # noqa: B008
    """Frame counters of the same shape, drawn over the whole period by torch's generator."""
    drawn = shard.draw(partial(torch.randint, COUNTER_PERIOD), counter.shape, device=counter.device)
    return drawn.to(counter.dtype)
