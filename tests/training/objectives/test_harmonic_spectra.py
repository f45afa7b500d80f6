"""Spectra of harmonics as training has them are those of what the operation plays."""

from __future__ import annotations

import pytest
import torch

from engine.models.pitched_frames import harmonics
from engine.models.spectrogram_gan_config import SpectrogramGANConfig
from training.objectives.frame_spectra import FrameSpectra
from training.objectives.harmonic_spectra import HarmonicSpectra

SHAPE = SpectrogramGANConfig(sample_rate_hz=32000, classes=("a", "b"), harmonics=40, start="rest")
FRAMES, SETTLED = 40, 10


def spectra(octaves: float, lag: float = 0.0):
    """(As they sound, as they are trained) of a steady note, magnitudes [bins] of frames."""
    tone = torch.linspace(-3.0, -7.0, SHAPE.bins)[None, :, None].expand(1, -1, FRAMES)
    pitch = torch.full((1, FRAMES), octaves)
    layer = harmonics(SHAPE)
    x = torch.cat((pitch[:, None], torch.ones(1, 1, FRAMES), tone + torch.log(torch.tensor(2.0))),
                  dim=1)
    audio, _ = layer(x, tuple(torch.zeros(1, *shape) for shape in layer.state_shapes()))
    sounding = FrameSpectra(SHAPE).magnitudes(audio)[0, :, SETTLED:]
    # The phase of the middle of a frame's window, a frame late, of a phase that begins at 0.
    hz = 261.625565 * 2.0**octaves
    start = 2 * torch.pi * hz / SHAPE.sample_rate_hz * (SHAPE.hop - SHAPE.fft / 2) + lag
    heard = HarmonicSpectra(SHAPE)
    lines = heard.lines(pitch, torch.zeros(1, FRAMES, dtype=torch.int64))
    real, imaginary = heard(tone, lines, torch.tensor([[start]]))
    return sounding, torch.hypot(real, imaginary)[0, :, SETTLED:]


@pytest.mark.parametrize("octaves", [-3.0, -1.4, 0.0, 1.93])
def test_they_are_those_of_what_sounds(octaves: float) -> None:
    sounding, trained = spectra(octaves)
    assert float((sounding - trained).abs().max()) < 0.01 * float(sounding.max())


def test_low_notes_beat_within_a_window() -> None:
    """Harmonics that are nearer than a window tells apart come and go: their phases matter."""
    sounding, trained = spectra(-3.0, lag=1.0)
    assert float((sounding - trained).abs().max()) > 0.1 * float(sounding.max())


def test_before_the_first_stroke_there_is_no_tone() -> None:
    stroke = torch.cat((torch.full((1, 5), -1), torch.zeros(1, 5, dtype=torch.int64)), dim=1)
    heard = HarmonicSpectra(SHAPE)
    lines = heard.lines(torch.zeros(1, 10), stroke)
    real, imaginary = heard(torch.zeros(1, SHAPE.bins, 10), lines, torch.zeros(1, 1))
    power = (real**2 + imaginary**2).sum(dim=1)[0]
    assert float(power[:5].max()) == 0 < float(power[5:].min())


def test_some_examples_have_the_lines_of_all() -> None:
    """Draws of a step share them, though some are of fewer examples."""
    torch.manual_seed(0)
    heard, pitch = HarmonicSpectra(SHAPE), torch.tensor([[-1.0] * 12, [0.5] * 6 + [1.2] * 6])
    stroke = torch.tensor([[0] * 12, [0] * 6 + [1] * 6])
    tone, starts = torch.randn(2, SHAPE.bins, 12), torch.randn(2, 3)
    some = heard(tone[:1], heard.lines(pitch, stroke).first(1), starts[:1])
    alone = heard(tone[:1], heard.lines(pitch[:1], stroke[:1]), starts[:1])
    other = heard(tone[1:], heard.lines(pitch[1:], stroke[1:]), starts[1:])
    both = heard(tone, heard.lines(pitch, stroke), starts)
    for part in range(2):
        assert torch.equal(some[part], alone[part])
        assert torch.allclose(both[part], torch.cat((alone[part], other[part])), atol=1e-6)
