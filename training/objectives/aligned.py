"""A model's output beside what it should be, the model's delay taken out."""

from __future__ import annotations

import torch
from torch import Tensor

from engine.layers.noise import SEED
from engine.models.base import Model
from training.objectives.energy import Compared, compare
from training.objectives.losses import WINDOWS, spectral_terms


def aligned(model: Model, output: Tensor, audio: Tensor) -> tuple[Tensor, Tensor]:
    """Output and target without the model's delay, of one length."""
    late = model.main.lookahead_samples
    # output: | late | y0 y1 ...    against    audio: | x0 x1 ... | late (has no answer yet)
    return output[..., late:], audio[..., : audio.shape[-1] - late]


def aligned_terms(model: Model, output: Tensor, audio: Tensor) -> tuple[Tensor, Tensor]:
    """Spectral and linear distance after taking the model's delay out of its output."""
    return spectral_terms(*aligned(model, output, audio))


def compared(
    model: Model, draws: tuple[Tensor, ...], audio: Tensor, weight: float
) -> Compared:
    """Energy scores of one or two draws after taking the model's delay out of them."""
    windows = windows_of(model.ratio) if weight else WINDOWS
    return compare(*aligned_draws(model, draws, audio), weight, windows)


def aligned_draws(
    model: Model, draws: tuple[Tensor, ...], audio: Tensor
) -> tuple[tuple[Tensor, ...], Tensor]:
    """All draws of an output and the target without the model's delay, of one length."""
    target = aligned(model, draws[0], audio)[1]
    return tuple(aligned(model, draw, audio)[0] for draw in draws), target


def windows_of(frame_samples: int) -> tuple[int, ...]:
    """Windows to train by: the distance's, and shorter ones down to a model's frame. What is longer
    than a frame does not hear whether noise pulses at the rate of frames."""
    shorter = (WINDOWS[-1] // 2, WINDOWS[-1] // 4)
    return (*WINDOWS, *(window for window in shorter if window >= frame_samples))


def noises(model: Model) -> list[dict[str, Tensor]]:
    """Attributes for two draws of `model`, for one if it makes no noise."""
    seeded = SEED in model.default_attributes()
    return [{SEED: torch.full((1,), float(seed))} for seed in range(2)] if seeded else [{}]
