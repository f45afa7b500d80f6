"""Networks that tell recorded sound from decoded sound. Each takes audio [batch, channels, time]
and returns what it thinks at many places, and the features on the way there.

    scales        the waveform, and its averages at 1/2 and 1/4 of the rate (Kumar et al. 2019)
    periods       the waveform folded at prime periods, one column per phase (Kong et al. 2020)
    spectrograms  log-magnitude spectrograms at several resolutions (Jang et al. 2021)
    patch         the waveform, a score for each patch of it (PatchGAN, Isola et al. 2017)

Architectures follow the papers' ideas at a size that a CPU can train; the layers are our own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import weight_norm

from training.objectives.losses import power_of

SCALES = (1, 2, 4)
PERIODS = (2, 3, 5, 7, 11)
WINDOWS = (1024, 512, 256)
SLOPE = 0.2
FLOOR = 1e-5


@dataclass(frozen=True)
class Opinion:
    """One discriminator's answer: scores at many places (positive: real), and features in order."""

    scores: Tensor
    features: tuple[Tensor, ...]


class Stack(nn.Module):
    """Convolutions with leaky ReLUs between them; the last one gives the score."""

    def __init__(self, layers: list[nn.Module]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(weight_norm(layer) for layer in layers)

    def forward(self, x: Tensor) -> Opinion:
        features = []
        for layer in self.layers[:-1]:
            x = F.leaky_relu(layer(x), SLOPE)
            features.append(x)
        return Opinion(self.layers[-1](x), tuple(features))


class ScaleDiscriminator(nn.Module):
    """Strided grouped convolutions on the waveform at 1 / `scale` of its rate."""

    def __init__(self, channels: int, width: int, scale: int) -> None:
        super().__init__()
        self.scale = scale
        groups = max(1, width // 4)
        self.stack = Stack([
            nn.Conv1d(channels, width, 15, padding=7),
            nn.Conv1d(width, 2 * width, 41, stride=4, padding=20, groups=groups),
            nn.Conv1d(2 * width, 4 * width, 41, stride=4, padding=20, groups=groups),
            nn.Conv1d(4 * width, 4 * width, 5, stride=2, padding=2),
            nn.Conv1d(4 * width, 1, 3, padding=1),
        ])

    def forward(self, audio: Tensor) -> Opinion:
        if self.scale > 1:
            audio = F.avg_pool1d(audio, 2 * self.scale, self.scale, self.scale // 2)
        return self.stack(audio)


class PatchDiscriminator(nn.Module):
    """The PatchGAN of document 000 in one dimension: a few strided convolutions on the waveform,
    and a score every 64 samples, each of a patch of 700 (44 ms at 16 kHz). What is farther apart
    is judged by no score, so that a small network hears many examples in each window."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.stack = Stack([
            nn.Conv1d(channels, width, 16, stride=4, padding=8),
            nn.Conv1d(width, 2 * width, 16, stride=4, padding=8),
            nn.Conv1d(2 * width, 4 * width, 16, stride=4, padding=8),
            nn.Conv1d(4 * width, 8 * width, 4, padding=2),
            nn.Conv1d(8 * width, 1, 4, padding=1),
        ])

    def forward(self, audio: Tensor) -> Opinion:
        return self.stack(audio)


class PeriodDiscriminator(nn.Module):
    """Convolutions down the columns of [time / period, period]."""

    def __init__(self, channels: int, width: int, period: int) -> None:
        super().__init__()
        self.period = period
        sizes = [channels, width, 2 * width, 4 * width]
        strided: list[nn.Module] = [
            nn.Conv2d(before, after, (5, 1), (3, 1), (2, 0))
            for before, after in pairwise(sizes)
        ]
        self.stack = Stack([*strided, nn.Conv2d(sizes[-1], sizes[-1], (5, 1), padding=(2, 0)),
                            nn.Conv2d(sizes[-1], 1, (3, 1), padding=(1, 0))])

    def forward(self, audio: Tensor) -> Opinion:
        missing = -audio.shape[-1] % self.period
        folded = F.pad(audio, (0, missing), mode="reflect") if missing else audio
        # [batch, channels, time] -> [batch, channels, time / period, period]
        return self.stack(folded.unflatten(-1, (-1, self.period)))


class SpectrogramDiscriminator(nn.Module):
    """Convolutions over frames and bins of a log-magnitude spectrogram, hop half a window."""

    def __init__(self, channels: int, width: int, window: int) -> None:
        super().__init__()
        self.window = window
        self.shape: Tensor
        self.register_buffer("shape", torch.hann_window(window) / (window / 2), persistent=False)
        strided: list[nn.Module] = [
            nn.Conv2d(channels if index == 0 else width, width, (3, 9), (1, 2), (1, 4))
            for index in range(3)
        ]
        self.stack = Stack([*strided, nn.Conv2d(width, width, 3, padding=1),
                            nn.Conv2d(width, 1, 3, padding=1)])

    def forward(self, audio: Tensor) -> Opinion:
        if audio.shape[-1] < self.window:
            audio = F.pad(audio, (0, self.window - audio.shape[-1]))
        frames = audio.unfold(-1, self.window, self.window // 2) * self.shape
        power = power_of(torch.fft.rfft(frames))  # [batch, channels, frames, bins]
        return self.stack(0.5 * torch.log(power + FLOOR**2) / 4)  # about -3 ... 0


# Channels of what is heard, width, and how many conditions are told beside it.
Build = Callable[[int, int, int], list[nn.Module]]
DISCRIMINATORS: dict[str, Build] = {
    "scales": lambda channels, width, _: [
        ScaleDiscriminator(channels, width, scale) for scale in SCALES],
    "periods": lambda channels, width, _: [
        PeriodDiscriminator(channels, width, period) for period in PERIODS],
    "spectrograms": lambda channels, width, _: [
        SpectrogramDiscriminator(channels, width, window) for window in WINDOWS],
    "patch": lambda channels, width, _: [PatchDiscriminator(channels, width)],
}


class Discriminators(nn.Module):
    """Several kinds together, of the rows `known`. `conditions`: how many are told to each of them
    beside what it hears; 0: none are."""

    def __init__(self, kinds: tuple[str, ...], channels: int, width: int,
                 known: dict[str, Build] = DISCRIMINATORS, conditions: int = 0) -> None:
        super().__init__()
        self.networks = nn.ModuleList(
            network for kind in kinds for network in known[kind](channels, width, conditions)
        )

    def forward(self, heard: Tensor, told: Tensor | None = None) -> list[Opinion]:
        """`heard`: [batch, channels, time]; `told`: [batch, conditions, time]."""
        if told is None:
            return [network(heard) for network in self.networks]
        return [network(heard, told) for network in self.networks]
