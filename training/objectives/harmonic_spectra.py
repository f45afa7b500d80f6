"""Spectra of harmonics of a known pitch, as objectives hear notes that are to be made.

What will sound are sines (`engine/layers/harmonics.py`); here each stands as the transform of the
window around its frequency, with its phase in the middle of every frame. That is what a frame of
the sound would show where amplitudes move slowly, and costs two products of matrices.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from engine.layers.harmonics import LOG_RANGE, NYQUIST_FADE
from engine.models.spectrogram_gan_config import SpectrogramGANConfig
from engine.scores.conditions import MIDDLE_C_HZ

NEAR = 1e-3  # bins from a line, or from a bin beside it, where numbers would be 0 / 0


class HarmonicSpectra(nn.Module):
    """Of log-magnitudes of a tone [batch, bins, frames], complex frames of as many bins."""

    number: Tensor
    bin: Tensor

    def __init__(self, shape: SpectrogramGANConfig) -> None:
        super().__init__()
        self.fft, self.hop, self.bins = shape.fft, shape.hop, shape.bins
        self.rate_hz = float(shape.sample_rate_hz)
        self.register_buffer("number", torch.arange(1.0, shape.harmonics + 1), persistent=False)
        self.register_buffer("bin", torch.arange(float(shape.bins)), persistent=False)

    def forward(self, tone: Tensor, pitch: Tensor, stroke: Tensor, starts: Tensor
                ) -> tuple[Tensor, Tensor]:
        """Real and imaginary part. `pitch` [batch, frames] in octaves from middle C, the same for
        all frames of a `stroke`, numbered from 0 on; before it there is no tone. `starts` [batch,
        most strokes]: phases of fundamentals when the crop begins, in radians."""
        share = MIDDLE_C_HZ / self.rate_hz * torch.exp2(pitch)  # of the sample rate
        place = torch.arange(tone.shape[2], device=tone.device)
        count = max(1, int(stroke.max()) + 1)
        begun = starts.gather(1, stroke.clamp(0, starts.shape[1] - 1)) / (2 * torch.pi)
        turns = begun + share * self.hop * place
        phases = 2 * torch.pi * (self.number[None, :, None] * (turns % 1)[:, None])
        amplitudes = self._amplitudes(tone, share)
        real, imaginary = amplitudes * torch.cos(phases), amplitudes * torch.sin(phases)
        parts = [torch.zeros_like(tone), torch.zeros_like(tone)]
        for index in range(count):
            own = (stroke == index).to(tone.dtype)
            if not own.any():
                continue
            one = (share * own).sum(dim=1) / own.sum(dim=1).clamp_min(1)
            above, below = self._lobes(one)
            # A sine has two lines: that at the negative frequency is felt by the lowest notes.
            for which, (lobes, values) in enumerate((
                    (above - below, real), (above + below, imaginary))):
                parts[which] = parts[which] + lobes @ (values * own[:, None])
        return parts[0], parts[1]

    def _amplitudes(self, tone: Tensor, share: Tensor) -> Tensor:
        """Of each harmonic [batch, harmonics, frames], as the operation reads them from its bands;
        halves of the sine's, as magnitudes are."""
        frequency = share[:, None] * self.number[None, :, None]
        place = (frequency * (2.0 * self.bins) - 0.5).clamp(0.0, self.bins - 1.0)
        low = place.floor().to(torch.int64)
        part = place - low
        line = (tone.gather(1, low) * (1 - part)
                + tone.gather(1, (low + 1).clamp(max=self.bins - 1)) * part)
        fade = ((0.5 - frequency) / NYQUIST_FADE).clamp(0.0, 1.0)
        return torch.exp(line.clamp(*LOG_RANGE)) * fade

    def _lobes(self, share: Tensor) -> tuple[Tensor, Tensor]:
        """The window's transform around harmonics of `share` [batch] of the sample rate and around
        their negatives, each [batch, bins, harmonics]; 1 at its middle."""
        at = share[:, None, None] * self.number * self.fft  # [batch, 1, harmonics]
        swing = torch.sin(torch.pi * at)
        bins = self.bin[:, None]
        alternating = (1 - 2 * (bins % 2)) / torch.pi
        return (_hann(bins - at, -alternating * swing), _hann(bins + at, alternating * swing))


def _hann(x: Tensor, sine: Tensor) -> Tensor:
    """Transform of a long Hann window around its middle, x bins away from a line:
    sin(pi x) / (pi x (1 - x²)), given sin(pi x) / pi, which whole bins share but for its sign."""
    below = x * (1 - x.square())
    found = sine / torch.where(below.abs() < NEAR, torch.ones_like(below), below)
    return torch.where(below.abs() < NEAR, torch.where(x.abs() < 0.5, 1.0, 0.5), found)
