"""Draws through which gradients flow, in training only.

    mixture of logistics   mean + scale * ln(u / (1 - u)) of one part, which is reparameterised;
                           which part: straight-through Gumbel-softmax
    classes                straight-through Gumbel-softmax

The Gumbel-max trick draws from the very softmax: the greatest of logits + Gumbel noise. Straight
through (Bengio et al. 2013; Jang et al. 2017; Maddison et al. 2017): what goes on is the one class
that was drawn, exactly; what comes back is the gradient of softmax((logits + noise) / tau) with the
same noise. That estimate is biased, the less the smaller tau, and the noisier. What is clamped to
the limit passes its gradient on, or a draw that clips could not be led back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from engine.errors import ConfigError
from engine.layers import Categorical, LogisticMixture
from engine.layers.draw import Draw
from training.data.base import Shard

LEAST = 2.0**-24  # a uniform number is neither 0 nor 1


class Noise(NamedTuple):
    """Of draws of some frames: `which` [batch, channels, classes or parts, time], Gumbel; `far`
    [batch, channels, time], logistic, or nothing for classes."""

    which: Tensor
    far: Tensor | None

    def at(self, frames: slice) -> Noise:
        """That of some of the frames."""
        return Noise(self.which[..., frames], None if self.far is None else self.far[..., frames])


class Drawn(NamedTuple):
    """What was drawn [batch, channels, time], the class or part that was, and weights of the
    classes [batch, channels, classes, time] whose gradient is the relaxed one's, or nothing for a
    mixture."""

    value: Tensor
    part: Tensor
    weights: Tensor | None


def drawable(draw: Draw) -> None:
    """An error for draws that are not known here."""
    if not isinstance(draw, (Categorical, LogisticMixture)):
        raise ConfigError(f"{type(draw).__name__} cannot be drawn with gradients, which "
                          "training.adversarial and training.scheduled_sampling need")


def noise_for(draw: Draw, shape: tuple[int, int], shard: Shard, like: Tensor) -> Noise:
    """For `shape` = (batch, frames)."""
    batch, frames = shape
    channels, mixture = draw.out_channels, isinstance(draw, LogisticMixture)
    classes = draw.parts if isinstance(draw, LogisticMixture) else draw.each

    def uniform(*rest: int) -> Tensor:
        found = shard.draw(torch.rand, (batch, *rest), device=like.device, dtype=torch.float32)
        return found.clamp(LEAST, 1 - LEAST).to(like.dtype)

    which = -torch.log(-torch.log(uniform(channels, classes, frames)))
    return Noise(which, torch.logit(uniform(channels, frames)) if mixture else None)


@dataclass(frozen=True)
class Relaxed:
    """Draws of a loop's end. `tau`: temperature of the relaxation, not of what is drawn."""

    draw: Draw
    tau: float = 1.0

    def __call__(self, given: Tensor, noise: Noise, part: Tensor | None = None) -> Drawn:
        """Drawn from what the net gives [batch, channels of the net, time]; `part`: what has been
        drawn, of which only the gradient is wanted."""
        mixture = isinstance(self.draw, LogisticMixture)
        logits = (self.draw.split(given)[0] if isinstance(self.draw, LogisticMixture)
                  else given.unflatten(1, (self.draw.out_channels, self.draw.each)))
        scores = logits + noise.which
        part = scores.argmax(dim=2) if part is None else part
        weights = torch.zeros_like(scores).scatter(2, part.unsqueeze(2), 1.0)
        if torch.is_grad_enabled():
            soft = torch.softmax(scores / self.tau, dim=2)
            weights = weights + (soft - soft.detach())
        if not mixture:
            return Drawn(self._numbers(part, weights), part, weights)
        return Drawn(self._of_mixture(given, noise, weights), part, None)

    def _of_mixture(self, given: Tensor, noise: Noise, weights: Tensor) -> Tensor:
        assert isinstance(self.draw, LogisticMixture)
        assert noise.far is not None
        _, means, log_scales = self.draw.split(given)
        each = means + torch.exp(log_scales) * noise.far.unsqueeze(2)
        value = (weights * each).sum(dim=2)
        limit = self.draw.limit
        return value + (value.clamp(-limit, limit) - value).detach()

    @staticmethod
    def _numbers(part: Tensor, weights: Tensor) -> Tensor:
        """Numbers of classes, exact, with the gradient of their mean."""
        count = torch.arange(weights.shape[2], device=part.device, dtype=weights.dtype)
        mean = (weights * count[:, None]).sum(dim=2)
        return part.to(weights.dtype) + (mean - mean.detach())
