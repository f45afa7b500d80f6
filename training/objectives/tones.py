"""What harmonics of a tracked pitch are taught: to be as strong as the sound is at their
frequencies. Left to the spectral distance alone a head that enters quietly never comes to life.

    loss = mean over clear frames of | ln amplitude of harmonic k - ln |X(k * pitch)| |
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import log2
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from engine.layers import Harmonics
from engine.models.base import Model

TONE_WEIGHT = 0.15  # nepers of the harmonics' levels against the spectral distance
CLEAR = 0.8
LOWEST_HZ = 500.0  # below, the waveform head has the tone to itself
WINDOW_SECONDS = 0.07  # at most
SETTLING_FRAMES = 8  # at the crop's beginning, that the pitch track has not heard whole
LEAST, FLOOR = -11.0, 1e-6  # of levels, of magnitudes


@dataclass
class Heard:
    """Inputs of the harmonics that played inside, each [batch, 2 + bands, frames]."""

    layers: list[Harmonics] = field(default_factory=list)
    inputs: list[Tensor] = field(default_factory=list)


@contextmanager
def tones_of(model: torch.nn.Module) -> Iterator[Heard]:
    """What harmonics are asked for inside."""
    heard = Heard()

    def took(layer: Any, inputs: Any, output: Any) -> None:
        heard.layers.append(layer)
        heard.inputs.append(inputs[0])

    hooks = [layer.register_forward_hook(took) for layer in model.modules()
             if isinstance(layer, Harmonics)]
    try:
        yield heard
    finally:
        for hook in hooks:
            hook.remove()


def tone_loss(heard: Heard, model: Model, target: Tensor) -> Tensor | None:
    """Mean distance in nepers between the levels of harmonics and those of `target` [batch,
    channels, samples] at their frequencies, with gradients; None without harmonics."""
    if not heard.layers:
        return None
    layer, asked = heard.layers[0], heard.inputs[0]
    assert model.coder is not None
    late = model.coder[0].lookahead_samples
    with torch.autocast(asked.device.type, enabled=False):
        asked = asked.float()
        frequency, level = layer.levels(asked)  # [batch, frames, count], of the sample rate
        with torch.no_grad():
            wanted = _levels_at(frequency, target.float().mean(dim=1), layer, late)
            lowest = LOWEST_HZ / layer.rate_hz
            counts = (frequency > lowest) & (frequency < 0.5) & (asked[:, 1:2].transpose(1, 2)
                                                                 > CLEAR)
            counts[:, :SETTLING_FRAMES] = False
            weight = counts.to(level.dtype)
        return ((level - wanted).abs() * weight).sum() / (weight.sum() + 1)


def _levels_at(frequency: Tensor, audio: Tensor, layer: Harmonics, late: int) -> Tensor:
    """Logarithm of the amplitude that `audio` [batch, samples] has at each frame's frequencies:
    the greatest of three bins, so that the tracker's last cents do not matter."""
    size = 2 ** int(log2(WINDOW_SECONDS * layer.rate_hz))
    frames = frequency.shape[1]
    # A frame's amplitudes are reached with its last sample, which sounds as `audio` did here:
    middle = layer.hop - late - size // 2
    before, after = max(0, -middle), max(0, middle + (frames - 1) * layer.hop + size
                                         - audio.shape[1])
    rows = F.pad(audio, (before, after))[:, middle + before:].unfold(1, size, layer.hop)
    window = torch.hann_window(size, device=audio.device)
    spectra = torch.fft.rfft(rows[:, :frames] * window).abs() * (2 / window.sum()) + FLOOR
    near = F.max_pool1d(spectra.log(), 3, 1, 1)  # [batch, frames, bins]
    bins = (frequency * size).round().long().clamp(0, size // 2)
    return near.gather(2, bins).clamp(LEAST, 0)
