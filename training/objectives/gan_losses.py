"""Losses of a game between what makes sound and discriminators, from the scores of the latter."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from training.objectives.discriminators import Opinion

Loss = Callable[[Tensor], Tensor]
LEAST_DISTANCE = 1e-2  # of two draws, for mode seeking


class GanObjective:
    """Losses of scores: of real and of made sound for the discriminator, for the generator."""

    def __init__(self, real: Loss, fake: Loss, generator: Loss) -> None:
        self.real, self.fake, self.generator = real, fake, generator


GAN_OBJECTIVES: dict[str, GanObjective] = {
    # Goodfellow et al. 2014, eq. 1, with D = sigmoid(score): the generator minimises ln(1 - D).
    "classical": GanObjective(
        lambda s: F.softplus(-s).mean(), lambda s: F.softplus(s).mean(),
        lambda s: -F.softplus(s).mean()),
    # The same paper, section 3: the generator maximises ln D, which does not fade when it loses.
    "non-saturating": GanObjective(
        lambda s: F.softplus(-s).mean(), lambda s: F.softplus(s).mean(),
        lambda s: F.softplus(-s).mean()),
    # Mao et al. 2017, eq. 9 (targets 0, 1, 1), without the factor 1/2.
    "least-squares": GanObjective(
        lambda s: (s - 1).square().mean(), lambda s: s.square().mean(),
        lambda s: (s - 1).square().mean()),
    # Lim and Ye 2017.
    "hinge": GanObjective(
        lambda s: F.relu(1 - s).mean(), lambda s: F.relu(1 + s).mean(), lambda s: -s.mean()),
}


def discriminator_loss(
    objective: GanObjective, real: list[Opinion], fake: list[Opinion]
) -> Tensor:
    """Mean over discriminators."""
    losses = [objective.real(r.scores) + objective.fake(f.scores)
              for r, f in zip(real, fake, strict=True)]
    return torch.stack(losses).mean()


def generator_loss(objective: GanObjective, fake: list[Opinion]) -> Tensor:
    """Mean over discriminators."""
    return torch.stack([objective.generator(f.scores) for f in fake]).mean()


def feature_matching(real: list[Opinion], fake: list[Opinion]) -> Tensor:
    """Mean over layers of |difference| / |real| (Kumar et al. 2019, eq. 3, made free of scale)."""
    losses = [
        (a.detach() - b).abs().mean() / a.detach().abs().mean().clamp_min(1e-6)
        for r, f in zip(real, fake, strict=True)
        for a, b in zip(r.features, f.features, strict=True)
    ]
    return torch.stack(losses).mean()


def gradient_penalty(real: list[Opinion], heard: Tensor) -> Tensor:
    """Mean over examples of the squared gradient of each one's mean scores by what is real, `heard`
    [batch, ...] (R1 of Mescheder et al. 2018): a discriminator that is certain of what is real has
    no slope there."""
    scores = torch.stack([opinion.scores.flatten(1).mean(dim=1) for opinion in real]).sum()
    gradient, = torch.autograd.grad(scores, heard, create_graph=True)
    return gradient.square().flatten(1).sum(dim=1).mean()


def mode_seeking(one: Tensor, other: Tensor) -> Tensor:
    """Mean over examples of 1 / distance of two draws [batch, ...] for the same conditions (Mao et
    al. 2019): falls as they differ more. The distance is the mean absolute difference."""
    distance = (one - other).abs().flatten(1).mean(dim=1)
    return (1 / (distance + LEAST_DISTANCE)).mean()
