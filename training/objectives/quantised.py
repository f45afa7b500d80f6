"""Quantisation-aware training: convolutions play their weights as rounded to 8 bits, by the rule of
the export (`engine/quantise.py`), while training goes on moving the weights behind them."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from engine.layers import Conv1d, ConvTranspose1d
from engine.models.base import Model
from engine.models.coded import Coded
from engine.models.registry import build
from engine.quantise import rounded

FORMATS = ("q16x8",)
ORIGINAL = ".parametrizations.weight.original"
LEARNING_RATE = 3e-4  # unless the user says otherwise: rounding is to be learnt around, not anew


class Rounding(nn.Module):
    """A convolution's weight [outputs, inputs / groups, kernel] with one scale per output."""

    def forward(self, weight: Tensor) -> Tensor:
        return rounded(weight)


class TransposedRounding(nn.Module):
    """The same for [inputs, outputs / groups, kernel] of a transposed convolution."""

    def __init__(self, groups: int) -> None:
        super().__init__()
        self.groups = groups

    def forward(self, weight: Tensor) -> Tensor:
        by_group = weight.unflatten(0, (self.groups, -1))  # [groups, in / groups, out / groups, k]
        by_output = by_group.transpose(1, 2)
        played = rounded(by_output.flatten(0, 1)).view(by_output.shape)
        return played.transpose(1, 2).flatten(0, 1)


def quantise_weights(model: nn.Module) -> int:
    """Let every trained convolution of `model` play rounded weights from now on: how many."""
    count = 0
    for layer in list(model.modules()):
        if "weight" not in layer._parameters:  # the fixed filters of a filter bank
            continue
        if isinstance(layer, Conv1d):
            parametrize.register_parametrization(layer, "weight", Rounding())
        elif isinstance(layer, ConvTranspose1d):
            parametrize.register_parametrization(layer, "weight", TransposedRounding(layer.groups))
        else:
            continue
        count += 1
    return count


def plain(model: Model) -> Model:
    """A copy with ordinary weights: those that are played, rounded where they were. `model` itself
    when nothing is rounded in it."""
    if not any(parametrize.is_parametrized(layer) for layer in model.modules()):
        return model
    # A fresh model rather than a copy without its parametrisations: torch keeps those in a class
    # that a copy shares, and would take them from both.
    weights = {name.replace(ORIGINAL, ".weight"): value.detach()
               for name, value in model.state_dict().items()}
    for name, layer in model.named_modules():
        if parametrize.is_parametrized(layer):
            weights[f"{name}.weight"] = layer.weight.detach()
    with torch.random.fork_rng(devices=[]):  # its own first weights are of no interest
        fresh = build(model.family, model.config)
    fresh.load_state_dict(weights)
    if isinstance(model, Coded) and isinstance(fresh, Coded):
        fresh.set_latents(model.latents)
    return fresh.to(next(model.parameters())).eval()
