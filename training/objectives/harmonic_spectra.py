"""Spectra of harmonics of a known pitch, as objectives hear notes that are to be made.

What will sound are sines (`engine/layers/harmonics.py`); here each stands as the transform of the
window around its frequency, with its phase in the middle of every frame. That is what a frame of
the sound would show where amplitudes move slowly, and costs two products of matrices.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from engine.layers.harmonics import LOG_RANGE, NYQUIST_FADE
from engine.models.spectrogram_gan_config import SpectrogramGANConfig
from engine.scores.conditions import MIDDLE_C_HZ

NEAR = 1e-3  # bins from a line, or from a bin beside it, where numbers would be 0 / 0


class Stroke(NamedTuple):
    """One stroke of each example: which frames are its own, 1 or 0 [batch, frames], and what its
    harmonics add to each bin's real and imaginary part [batch, bins, harmonics]."""

    own: Tensor
    real: Tensor
    imaginary: Tensor


class Lines(NamedTuple):
    """Where harmonics of known pitches lie, whatever their amplitudes and phases: all that is made
    of the same notes in a step shares it."""

    share: Tensor  # the pitch as part of the sample rate [batch, frames]
    stroke: Tensor  # numbers of strokes [batch, frames]
    strokes: tuple[Stroke, ...]

    def first(self, count: int) -> Lines:
        """Of so many examples."""
        return Lines(self.share[:count], self.stroke[:count],
                     tuple(Stroke(*(part[:count] for part in one)) for one in self.strokes))


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

    def lines(self, pitch: Tensor, stroke: Tensor) -> Lines:
        """`pitch` [batch, frames] in octaves from middle C, the same for all frames of a `stroke`,
        numbered from 0 on; before it there is no tone."""
        share = MIDDLE_C_HZ / self.rate_hz * torch.exp2(pitch)
        strokes = []
        for index in range(max(1, int(stroke.max()) + 1)):
            own = (stroke == index).to(pitch.dtype)
            if not own.any():
                continue
            one = (share * own).sum(dim=1) / own.sum(dim=1).clamp_min(1)
            above, below = self._lobes(one)
            # A sine has two lines: that at the negative frequency is felt by the lowest notes.
            strokes.append(Stroke(own, above - below, above + below))
        return Lines(share, stroke, tuple(strokes))

    def forward(self, tone: Tensor, lines: Lines, starts: Tensor) -> tuple[Tensor, Tensor]:
        """Real and imaginary part. `starts` [batch, most strokes]: phases of fundamentals when the
        crop begins, in radians."""
        share = lines.share
        place = torch.arange(tone.shape[2], device=tone.device)
        begun = starts.gather(1, lines.stroke.clamp(0, starts.shape[1] - 1)) / (2 * torch.pi)
        turns = begun + share * self.hop * place
        phases = 2 * torch.pi * (self.number[None, :, None] * (turns % 1)[:, None])
        amplitudes = self._amplitudes(tone, share)
        real, imaginary = amplitudes * torch.cos(phases), amplitudes * torch.sin(phases)
        parts = [torch.zeros_like(tone), torch.zeros_like(tone)]
        for own, *lobes in lines.strokes:
            for which, (lobe, values) in enumerate(zip(lobes, (real, imaginary), strict=True)):
                parts[which] = parts[which] + lobe @ (values * own[:, None])
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
