"""A head that says log-magnitudes, which become sound frame by frame: phases go on at peaks and
follow from magnitudes around them (phase gradients of a Gaussian-like window, Prusa and Holighaus
2017), and are random where the head says noise. Beyond the window it needs one frame to come."""

from __future__ import annotations

from math import pi
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from scripts.heads.models import KL_WEIGHT, Waveform
from training.objectives.losses import kl_penalty, kl_per_dimension

Floats = NDArray[np.float64]
SIZE = 1024
BINS = SIZE // 2 + 1
GAMMA = 0.25645 * SIZE**2  # of a Hann window
LEAST = -11.0  # ln of amplitude
TOLERANCE = np.log(1e-3)  # against the loudest, below which phases are random
NOISY = 0.45  # spread of ln magnitude; Rayleigh's is .64
WIDTH = 128


class _Unit(nn.Module):
    def __init__(self, dilation: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.LeakyReLU(0.2), nn.ConstantPad1d((2 * dilation, 0), 0.0),
            nn.Conv1d(WIDTH, WIDTH, 3, dilation=dilation), nn.LeakyReLU(0.2),
            nn.Conv1d(WIDTH, WIDTH, 1))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)


class Inverted(Waveform):
    """The product's encoder; a decoder of medians and spreads of log-magnitudes."""

    def __init__(self, **shape: Any) -> None:
        super().__init__(**shape)
        latents = self.body.config.latents
        self.body.decoder = nn.Identity()
        last = nn.Conv1d(WIDTH, 2 * BINS, 1)
        self.decoder = nn.Sequential(nn.ConstantPad1d((2, 0), 0.0), nn.Conv1d(latents, WIDTH, 3),
                                     _Unit(1), _Unit(3), nn.LeakyReLU(0.2), last)
        with torch.no_grad():
            last.bias[:BINS], last.bias[BINS:] = -7.0, -0.5

    def _levels(self, z: Tensor) -> tuple[Tensor, Tensor]:
        median, spread = self.decoder(z).chunk(2, dim=1)
        return median, spread.clamp(-6, 1).exp()

    def loss(self, audio: Tensor, known: Tensor) -> Tensor:
        mean, log_std = self.body.distribution(audio)
        median, spread = self._levels(mean + log_std.exp() * torch.randn_like(mean))
        window = torch.hann_window(SIZE)
        rows = F.pad(audio[:, 0], (SIZE - self.hop, 0)).unfold(1, SIZE, self.hop)
        wanted = (torch.fft.rfft(rows * window).abs() * (2 / window.sum())).clamp_min(
            np.exp(LEAST)).log().transpose(1, 2)
        one, other = torch.randn_like(median), torch.randn_like(median)
        score = ((median + spread * one - wanted).abs()
                 - 0.5 * spread * (one - other).abs()).mean()
        return score + KL_WEIGHT * kl_penalty(kl_per_dimension(mean, log_std), 0.0)

    @torch.no_grad()
    def play(self, audio: Tensor, known: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        median, spread = self._levels(self.body.distribution(audio)[0])
        level, noisy = median[0].T.double().numpy(), (spread[0].T > NOISY).numpy()
        count = audio.shape[2]
        a, b = (torch.from_numpy(inverted(level, noisy, self.hop, seed)[:count].astype(np.float32))
                for seed in range(2))
        return a[None], b[None], audio[:, 0, : len(a)]


def inverted(level: Floats, noisy: NDArray[np.bool_], hop: int, seed: int) -> Floats:
    """Sound of log-magnitudes [frames, bins], whose windows end with each `hop` samples."""
    rng, frames = np.random.default_rng(seed), len(level)
    phase, step = np.zeros(BINS), np.zeros(BINS)
    window = np.hanning(SIZE + 1)[:-1]
    scale = window / (np.square(window).sum() / hop)
    sound = np.zeros(frames * hop + SIZE)
    for n in range(frames):
        now, before = level[n], level[max(0, n - 1)]
        after = level[min(frames - 1, n + 1)]
        phase, step = _advanced(phase, step, before, now, after, hop)
        loudest = max(now.max(), before.max())
        random = noisy[n] | (now < loudest + TOLERANCE)
        phase = np.where(random, rng.uniform(-pi, pi, BINS), phase)
        spectrum = np.where(now > LEAST, np.exp(now), 0) * np.exp(1j * phase)
        frame = np.fft.fftshift(np.fft.irfft(spectrum, SIZE))
        start = (n + 1) * hop
        sound[start : start + SIZE] += frame * scale * (window.sum() / 2)
    return sound[SIZE:]


def _advanced(phase: Floats, step: Floats, before: Floats, now: Floats, after: Floats,
              hop: int) -> tuple[Floats, Floats]:
    """Phases of the next frame and by how much they advance per hop."""
    slope = np.zeros(BINS)
    slope[1:-1] = now[2:] - now[:-2]
    advance = hop * SIZE / (2 * GAMMA) * slope + 2 * pi * hop * np.arange(BINS) / SIZE
    across = -GAMMA / (2 * hop * SIZE) * (after - before)
    along = np.concatenate(([0], np.cumsum(0.5 * (across[1:] + across[:-1]))))
    base = phase + 0.5 * (step + advance)
    top = _uphill(now)
    wrapped = base[top] + along - along[top]
    return np.remainder(wrapped + pi, 2 * pi) - pi, advance


def _uphill(level: Floats) -> NDArray[np.int64]:
    """Of each bin the local maximum to which it leads."""
    index = np.arange(len(level))
    left, right = np.r_[-np.inf, level[:-1]], np.r_[level[1:], -np.inf]
    peak = (level > left) & (level >= right)
    below = np.maximum.accumulate(np.where(peak, index, -1))
    above = np.minimum.accumulate(np.where(peak, index, len(level))[::-1])[::-1]
    to_left = (left >= right) & (below >= 0) | (above == len(level))
    return np.where(peak, index, np.where(to_left, below, above)).clip(0, len(level) - 1)
