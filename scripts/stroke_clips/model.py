"""Strokes as whole clips: a picture of log-magnitudes from z, all at once, as in DCGAN (Radford et
al. 2016) and GANSynth (Engel et al. 2019).

    z, class, subclass -> layer -> 4 transposed convolutions -> convolution -> [bands, frames]

At 48 kHz a clip has 513 bins, which a processor does not learn in minutes: as in GANSynth high
ones share bands. Below 1.9 kHz each bin is a band of its own.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from engine.models.base import Model
from engine.models.chain import Chain
from engine.models.frames import HIGHEST, LOWEST, MIDDLE, SPAN
from engine.models.spectrogram_gan_config import SpectrogramGANConfig
from training.objectives.frame_discriminators import band_edges

LAYERS = 4  # each twice as long and twice as high as the one before


class ClipConfig(SpectrogramGANConfig):
    """Shape of such a generator, and what it is asked for: as the voice of frames, `frames` of a
    clip included. Keys of that voice's network mean nothing here."""

    width: Annotated[int, Field(ge=1, le=512)] = 16  # of the last layer; the first has 4 times that
    asks: bool = True  # for classes and subclasses; else a stroke is any

    unsaid: ClassVar[tuple[str, ...]] = (
        *SpectrogramGANConfig.unsaid, "noise", "conditions", "kernel_size", "dilations", "fade",
        "noise_from_hz", "harmonics", "release")

    @property
    def told(self) -> int:
        """How many weights of classes and subclasses there are."""
        return (len(self.classes) + len(self.subclasses)) * self.asks


class Bands(nn.Module):
    """Bins of a spectrum as bands, and back."""

    joining: Tensor
    spreading: Tensor

    def __init__(self, bins: int) -> None:
        super().__init__()
        edges = band_edges(bins)
        self.count = len(edges) - 1
        joining, spreading = torch.zeros(self.count, bins), torch.zeros(bins, self.count)
        for row, (low, high) in enumerate(pairwise(edges)):
            joining[row, low:high] = 1 / (high - low)
        centres = torch.tensor([(low + high - 1) / 2 for low, high in pairwise(edges)])
        place = torch.arange(bins).clamp(max=float(centres[-1]))
        left = (torch.searchsorted(centres, place, right=True) - 1).clamp(0, self.count - 2)
        share = (place - centres[left]) / (centres[left + 1] - centres[left])
        rows = torch.arange(bins)
        spreading[rows, left], spreading[rows, left + 1] = 1 - share, share
        self.register_buffer("joining", joining, persistent=False)
        self.register_buffer("spreading", spreading, persistent=False)

    def power(self, power: Tensor) -> Tensor:
        """Mean power in each band [batch, bands, frames] of that in bins [batch, bins, frames]."""
        return self.joining @ power

    def nepers(self, levels: Tensor) -> Tensor:
        """Log-magnitudes of bins, between those of bands' middles."""
        return self.spreading @ levels


class AskedNorm(nn.Module):
    """Batch normalisation with a scale and a shift for what is asked for (Dumoulin et al. 2017)."""

    def __init__(self, channels: int, told: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(channels)
        self.asked = nn.Linear(told, 2 * channels, bias=False) if told else None
        if self.asked is not None:
            nn.init.zeros_(self.asked.weight)

    def forward(self, x: Tensor, told: Tensor) -> Tensor:
        x = self.norm(x)
        if self.asked is None:
            return x
        scale, shift = self.asked(told)[..., None, None].chunk(2, dim=1)
        return (1 + scale) * x + shift


class StrokeClip(Model):
    """No methods: whole clips are played by `scripts/stroke_clips/playing.py`."""

    family: ClassVar[str] = "stroke_clip"
    config: ClipConfig

    def __init__(self, config: ClipConfig) -> None:
        super().__init__()
        self.config = config
        self.bands = Bands(config.bins)
        width, told = config.width, config.told
        sizes = [4 * width, 3 * width, 2 * width, 3 * width // 2, width]
        self.first = (-(-self.bands.count // 2**LAYERS), -(-config.frames // 2**LAYERS))
        self.enter = nn.Linear(config.z + told, sizes[0] * self.first[0] * self.first[1])
        self.norms = nn.ModuleList(AskedNorm(size, told) for size in sizes)
        self.layers = nn.ModuleList(nn.ConvTranspose2d(before, after, 4, 2, 1)
                                    for before, after in pairwise(sizes))
        self.last = nn.Conv2d(width, 1, 3, 1, 1)

    def chains(self) -> dict[str, Chain]:
        return {}

    def told(self, rows: Tensor) -> Tensor:
        """Weights of classes and subclasses [batch, told] of conditions [batch, labels]."""
        shape = self.config
        last = 1 + len(shape.asked)
        return rows[:, last - shape.told : last]

    def made(self, z: Tensor, told: Tensor) -> Tensor:
        """Scaled log-magnitudes [batch, bands, frames] of z [batch, z] and `told` [batch, told]."""
        x = self.enter(torch.cat((z, told), dim=1)).unflatten(1, (-1, *self.first))
        for norm, layer in zip(self.norms, [*self.layers, self.last], strict=True):
            x = layer(torch.relu(norm(x, told)))
        x = x[:, 0, : self.bands.count, : self.config.frames]
        return (HIGHEST + LOWEST) / 2 + (HIGHEST - LOWEST) / 2 * torch.tanh(x)

    def nepers(self, made: Tensor) -> Tensor:
        """Log-magnitudes of bins [batch, bins, frames] of what `made` says."""
        return self.bands.nepers(MIDDLE + SPAN * made)

    def macs(self) -> float:
        """Multiplications of a clip."""
        places, found = self.first[0] * self.first[1], float(self.enter.weight.numel())
        for layer in [*self.layers, self.last]:
            found += float(layer.weight.numel()) * places  # each input meets every weight
            places *= 4 if layer is not self.last else 1
        return found
