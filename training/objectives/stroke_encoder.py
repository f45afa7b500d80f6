"""Which z a recorded stroke has: a network that is trained beside a drum voice and not kept.

    log-magnitudes -> bands, their mean and spread -> convolutions over time -> mean of each stroke
                   -> means and logarithms of deviations of its z

With it a voice learns to make the strokes that there are (a conditional variational autoencoder:
Kingma and Welling 2014, Sohn et al. 2015) before, and while, a game teaches it to make others.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from training.objectives.discriminators import SLOPE
from training.objectives.frame_discriminators import BandFeatures
from training.objectives.regularisers import kl_per_dimension

LOUD = 16.0  # frames in which the weight of a stroke's frames falls to 1/e
MOST_LOG_STD = 3.0


class StrokeEncoder(nn.Module):
    """Three convolutions of `width` channels over frames, and a layer behind their mean."""

    def __init__(self, bins: int, z: int, width: int = 96) -> None:
        super().__init__()
        self.features = BandFeatures(bins)
        self.body = nn.ModuleList(
            nn.Conv1d(before, width, 5, padding=2) for before in (self.features.size, width, width))
        self.out = nn.Sequential(nn.Linear(2 * width, width), nn.LeakyReLU(SLOPE),
                                 nn.Linear(width, 2 * z))

    def forward(self, heard: Tensor, number: Tensor, age: Tensor, most: int
                ) -> tuple[Tensor, Tensor]:
        """Of scaled log-magnitudes [batch, bins, frames], frames of stroke `number` and `age`
        [batch, frames]: means and log-deviations [batch, most, z] of strokes 0, 1, ..."""
        x = self.features(heard)
        for layer in self.body:
            x = F.leaky_relu(layer(x), SLOPE)
        own = of_strokes(number, most)
        early = own * torch.exp(-age / LOUD)[:, None]
        pooled = [torch.einsum("bcf,bsf->bsc", x, share)
                  / share.sum(dim=2, keepdim=True).clamp_min(1e-6)
                  for share in (early, own.to(x.dtype))]
        mean, log_std = self.out(torch.cat(pooled, dim=2)).chunk(2, dim=2)
        return mean, log_std.clamp(-MOST_LOG_STD, MOST_LOG_STD)


def of_strokes(number: Tensor, most: int) -> Tensor:
    """Which frames [batch, most, frames] belong to strokes 0, 1, ..., from the numbers of all
    [batch, frames]."""
    return number[:, None] == torch.arange(most, device=number.device)[None, :, None]


def drawn(mean: Tensor, log_std: Tensor, normal: Tensor) -> Tensor:
    """z of what was heard, from normal numbers, all [batch, strokes, z]."""
    return mean + log_std.exp() * normal


def divergence(mean: Tensor, log_std: Tensor, there: Tensor) -> Tensor:
    """Kullback-Leibler divergence from the normal distribution, in nats, the mean over strokes that
    are `there` [batch, strokes], of which there must be one."""
    each = kl_per_dimension(mean[there].T[None], log_std[there].T[None])
    return each.sum()
