"""The stereo image: what both channels are together is heard as well as what each is.

Two channels can each be right and yet wrong together: noise that is as wide as can be in place of
noise in the middle, or the other way round. So half of the sum and half of the difference are
compared too, as mixing desks have them (middle and side), by the energy score.

A sound in the middle has no side at all, and its logarithm would ask for silence, bin by bin. So
the side is heard with a little of the middle in it: what lies further below than that counts less.
"""

from __future__ import annotations

import torch
from torch import Tensor

from engine.models.base import Model
from training.objectives.aligned import compared

WIDTH_WEIGHT = 0.5  # against the channels' own score
LEAK = 0.03  # of the middle, -30 dB


def middle_and_side(x: Tensor, leak: float = 0.0) -> Tensor:
    """[..., 2, time] -> as many: half the sum, half the difference with `leak` of the former."""
    left, right = x[..., 0, :], x[..., 1, :]
    middle = 0.5 * (left + right)
    return torch.stack((middle, 0.5 * (left - right) + leak * middle), dim=-2)


def width_score(
    model: Model, draws: tuple[Tensor, ...], audio: Tensor, weight: float
) -> Tensor | None:
    """Energy score of middle and side of one or two draws, each [batch, channels, time]; None
    unless there are two channels."""
    if audio.shape[-2] != 2:
        return None
    heard = tuple(middle_and_side(draw, LEAK) for draw in draws)
    return compared(model, heard, middle_and_side(audio, LEAK), weight).score


def width_terms(
    model: Model, draws: tuple[Tensor, ...], audio: Tensor, weight: float
) -> tuple[Tensor | float, dict[str, Tensor]]:
    """What the loss takes of it, and the figure to be logged; 0 and none for one channel."""
    score = width_score(model, draws, audio, weight)
    return (0.0, {}) if score is None else (WIDTH_WEIGHT * score, {"width_score": score.detach()})
