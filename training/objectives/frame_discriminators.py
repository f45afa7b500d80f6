"""Networks that tell frames of recorded sound from frames that were made, and know what was asked
for. Each takes log-magnitudes [batch, bins, frames], scaled to about -1 ... 1, and conditions
[batch, conditions, frames].

    bins     every bin by itself
    bands    the lowest bins, then wider and wider bands: the mean of each and its spread within,
             which is that of noise or of nothing. A quarter of the work

What was asked for enters as a projection (Miyato and Koyama 2018), frame by frame, so that a crop
may hold several strokes; weights have a spectral norm (Miyato et al. 2018).
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from training.objectives.discriminators import SLOPE, Build, Opinion

LINEAR_BINS = 40  # each a band of its own
BANDS = 96
LAYERS = 5


class FrameDiscriminator(nn.Module):
    """Strided convolutions over bins and frames; of what comes out, a score at each time, and a
    projection on what was asked for then. `step`: by how much the first layer thins out bins."""

    def __init__(self, channels: int, bins: int, width: int, conditions: int, step: int) -> None:
        super().__init__()
        sizes = [channels, width, 2 * width, *[4 * width] * (LAYERS - 2)]
        layers: list[nn.Module] = [
            nn.Conv2d(before, after, (7, 5) if index == 0 else 4,
                      (step, 2) if index == 0 else 2, (3, 2) if index == 0 else 1)
            for index, (before, after) in enumerate(pairwise(sizes))]
        self.layers = nn.ModuleList(spectral_norm(layer) for layer in layers)
        left = (bins - 1) // step + 1
        for _ in range(LAYERS - 1):
            left //= 2
        if not left:
            raise ValueError(f"{bins} bins or bands are too few for a discriminator of frames")
        self.size = sizes[-1] * left
        self.score = spectral_norm(nn.Conv1d(self.size, 1, 1))
        self.asked = nn.Conv1d(conditions, self.size, 1, bias=False) if conditions else None
        if self.asked is not None:
            nn.init.normal_(self.asked.weight, 0.0, self.size**-0.5)

    def forward(self, heard: Tensor, told: Tensor | None = None) -> Opinion:
        x = heard if heard.dim() == 4 else heard[:, None]
        features = []
        for layer in self.layers:
            x = F.leaky_relu(layer(x), SLOPE)
            features.append(x)
        h = x.flatten(1, 2)  # [batch, size, times]
        scores = self.score(h)
        if self.asked is not None and told is not None:
            given = F.adaptive_avg_pool1d(told, h.shape[2])
            scores = scores + (h * self.asked(given)).sum(dim=1, keepdim=True)
        return Opinion(scores, tuple(features))


class BandFeatures(nn.Module):
    """Of log-magnitudes [batch, bins, frames] the mean of each band, then its spread within
    [batch, size, frames]."""

    def __init__(self, bins: int) -> None:
        super().__init__()
        edges = band_edges(bins)
        self.bands = len(edges) - 1
        self.size = 2 * self.bands
        self.mean: Tensor
        matrix = torch.zeros(self.bands, bins)
        for row, (low, high) in enumerate(pairwise(edges)):
            matrix[row, low:high] = 1 / (high - low)
        self.register_buffer("mean", matrix, persistent=False)

    def forward(self, heard: Tensor) -> Tensor:
        mean = self.mean @ heard
        spread = (self.mean @ heard.square() - mean.square()).clamp_min(0)
        return torch.cat((mean, (spread + 1e-4).sqrt()), dim=1)


class BandDiscriminator(FrameDiscriminator):
    """The same on bands: their means, and the spread of the bins within each."""

    def __init__(self, bins: int, width: int, conditions: int) -> None:
        features = BandFeatures(bins)
        super().__init__(2, features.bands, width, conditions, 2)
        self.bands = features

    def forward(self, heard: Tensor, told: Tensor | None = None) -> Opinion:
        x = self.bands(heard)
        return super().forward(x.unflatten(1, (2, self.bands.bands)), told)


def band_edges(bins: int) -> list[int]:
    """First bin of each band, and the end of the last: single bins, then bands that grow evenly on
    a logarithmic axis."""
    first = min(LINEAR_BINS, bins // 2)
    count = max(1, BANDS - first)
    wide = {round(first * (bins / first) ** (i / count)) for i in range(count + 1)}
    return sorted({*range(first), *wide})


FRAME_DISCRIMINATORS: dict[str, Build] = {
    "bins": lambda bins, width, conditions: [
        FrameDiscriminator(1, bins, width, conditions, 4)],
    "bands": lambda bins, width, conditions: [BandDiscriminator(bins, width, conditions)],
}
