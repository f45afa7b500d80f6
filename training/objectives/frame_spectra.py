"""Spectra of frames, as objectives hear them that ask for frames and not for samples.

    |e^tone + e^noise g|        g: the spectrum of white noise

A model says magnitudes of a tone and of noise; what is compared with recorded sound has the grain
that will be heard, and neighbouring bins and frames hang together as they do in life.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engine.models.frames import MIDDLE, SPAN, FramesConfig
from training.data.base import Shard

FLOOR = 3e-5  # of magnitudes, recorded or made: what is below is silence


class FrameSpectra(nn.Module):
    """Frame n is of the `fft` samples that end with hop n, as of the layer `Spectrum`."""

    window: Tensor

    def __init__(self, shape: FramesConfig) -> None:
        super().__init__()
        self.fft, self.hop = shape.fft, shape.hop
        self.register_buffer("window", torch.hann_window(shape.fft), persistent=False)

    def magnitudes(self, audio: Tensor) -> Tensor:
        """Of audio [batch, 1, samples], [batch, bins, frames]: a sine of amplitude a has a / 2."""
        return self._frames(audio[:, 0]).abs() / self.window.sum()

    def white(self, batch: int, frames: int, shard: Shard) -> Tensor:
        """Frames of white noise, complex [batch, bins, frames], of power 1 in the mean."""
        noise = shard.draw(torch.randn, (batch, frames * self.hop), device=self.window.device)
        return self._frames(noise) / self.window.square().sum().sqrt()

    def _frames(self, x: Tensor) -> Tensor:
        x = F.pad(x, (self.fft - self.hop, 0))
        found: Tensor = torch.stft(x, self.fft, self.hop, window=self.window, center=False,
                                   return_complex=True)
        return found


def heard_power(tone: Tensor, noise: Tensor, white: Tensor) -> Tensor:
    """Of what will sound: tone, and noise with the grain of `white`, from log-magnitudes."""
    return power_with_noise(torch.exp(tone), 0.0, noise, white)


def power_with_noise(real: Tensor, imaginary: Tensor | float, noise: Tensor, white: Tensor
                     ) -> Tensor:
    """The same of a tone whose frames are known."""
    level = torch.exp(noise)
    return (real + level * white.real).square() + (imaginary + level * white.imag).square()


def nepers(power: Tensor) -> Tensor:
    """Log-magnitudes, of silence where they are smaller."""
    return 0.5 * torch.log(power + FLOOR**2)


def scaled(power: Tensor) -> Tensor:
    """Log-magnitudes as networks hear them, about -1 ... 1."""
    return (nepers(power) - MIDDLE) / SPAN
