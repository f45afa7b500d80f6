"""Other noise for every crop: in training each starts from fresh state, whose counters are 0."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from engine.layers import NoiseMultiply
from engine.layers.noise import COUNTER_PERIOD


def vary_noise(model: nn.Module) -> None:
    """From now on each signal of a batch hears noise from a random place of its sequence.

    Otherwise the model would fit the one stretch of noise that it always sees from the first
    frame on, and play differently once a stream has left it behind."""
    for layer in model.modules():
        if isinstance(layer, NoiseMultiply):
            layer.register_forward_pre_hook(_elsewhere)


def _elsewhere(layer: nn.Module, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    x, (counter,), *attributes = arguments
    return x, (random_counter(counter),), *attributes


def random_counter(counter: Tensor) -> Tensor:
    """Frame counters of the same shape, drawn over the whole period by torch's generator."""
    return torch.randint(COUNTER_PERIOD, counter.shape, device=counter.device).to(counter.dtype)
