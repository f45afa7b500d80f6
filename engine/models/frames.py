"""What families share that make sound of frames of a spectrogram: the shape of a frame, and the
last layers of a network, which say one."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field, field_validator, model_validator
from torch import nn

from engine.layers import Conv1d, FixedEach, LeakyReLU, Streaming, Tanh
from engine.models.base import ModelConfig

# Log-magnitudes in nepers, as networks have them: MIDDLE + SPAN * x, x about -1 ... 1.
MIDDLE, SPAN = -5.5, 6.0
LOWEST, HIGHEST = -1.5, 1.0  # x that a network can say
SILENT = -20.0  # nepers below what it says: less than `Resynth` plays


class FramesConfig(ModelConfig):
    """Shape of what `Spectrum` and `Resynth` take."""

    fft: Annotated[int, Field(ge=128, le=4096)] = 1024
    hop: Annotated[int, Field(ge=8, le=1024)] = 256

    @field_validator("fft")
    @classmethod
    def _power_of_two(cls, value: int) -> int:
        if value & (value - 1):
            raise ValueError("must be a power of two")
        return value

    @model_validator(mode="after")
    def _hops_fit(self) -> FramesConfig:
        if self.fft not in (4 * self.hop, 8 * self.hop, 16 * self.hop):
            raise ValueError(f"fft must be 4, 8 or 16 times hop ({self.hop})")
        return self

    @property
    def bins(self) -> int:
        """Of a spectrum."""
        return self.fft // 2 + 1

    @property
    def bin_labels(self) -> tuple[str, ...]:
        """Of log-magnitudes of a tone, then of noise."""
        return tuple(f"{part} {n}" for part in ("tone", "noise") for n in range(self.bins))


def heads(width: int, bins: int, noise_from: int = 0) -> list[Streaming]:
    """Features [width] -> log-magnitudes of tone, then of noise, in nepers, softly held to what is
    heard: the exponential of an unbounded number would soon be none. Below bin `noise_from` the
    noise is what is least: a low tone is longer than the window, so its bins go up and down as
    those of noise do, and a network would take it for noise."""
    both = 2 * bins
    last = Conv1d(width, both, 1)
    nn.init.uniform_(last.weight, -0.05, 0.05)
    middle, reach = (HIGHEST + LOWEST) / 2, (HIGHEST - LOWEST) / 2
    scale, shift = torch.full((both,), reach * SPAN), torch.full((both,), middle * SPAN + MIDDLE)
    scale[bins : bins + noise_from] = 0.0
    shift[bins : bins + noise_from] = LOWEST * SPAN + MIDDLE
    return [LeakyReLU(width), last, Tanh(both), FixedEach(scale, shift)]
