"""Averaged weights."""

from __future__ import annotations

import copy

import torch

from engine.models.base import Model


class Average:
    """Exponential moving average of weights, in a copy of the model. It follows quickly at first:
    after t steps it spans about t / 10 of them, until `decay` sets the limit."""

    def __init__(self, model: Model, decay: float) -> None:
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        self.decay = decay

    @torch.no_grad()
    def update(self, model: Model, step: int) -> None:
        """Take in the weights after `step` steps."""
        decay = min(self.decay, (1 + step) / (10 + step))
        own = [p.detach() for p in self.model.parameters()]  # shares memory with the parameters
        torch._foreach_lerp_(own, [p.detach() for p in model.parameters()], 1 - decay)
        for mine, other in zip(self.model.buffers(), model.buffers(), strict=True):
            mine.copy_(other)
