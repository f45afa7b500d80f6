"""Tones of a waveform autoencoder: harmonics of a pitch that is tracked inside the encoder.

    audio ---+-> encoder ------> latents, controls --+-> first level -+-> ... filter bank -+-> sum
             +-> pitch track --> pitch, clarity -----+                +-> envelope --------+
                                                          pitch, clarity ---> harmonics

Heads of waveform and noise never make a partial above 2 kHz, harmonics of a tracked pitch do at
once (after Engel et al. 2020, "DDSP", whose pitch came from a network beside the model). They enter
above `crossover_hz` and with clarity, so they leave the bottom to the waveform and noise alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from engine.layers import (
    Channels,
    Conv1d,
    Harmonics,
    LatentSample,
    LeakyReLU,
    Parallel,
    PitchTrack,
    Sequence,
    Streaming,
)

if TYPE_CHECKING:
    from engine.models.raw_vae_config import RawVAEConfig

BANDS = 64  # of the envelope over frequency
# Its logarithm at first: -35 dB at the bottom, since a head that starts at -52 dB never lives, and
# less above `CORNER_HZ`, as notes have it.
START, TILT, CORNER_HZ = -4.03, 1.5, 1000.0


class Tones(nn.Module):
    """The layers of tones, and how they lie beside an encoder and a decoder that know nothing of
    them. Composites are made anew when asked for: weights belong to the model."""

    def __init__(self, config: RawVAEConfig, encoder_lookahead: int) -> None:
        super().__init__()
        width, rate = config.widths[-1], float(config.sample_rate_hz)
        self.latents, self.width = config.taught, width
        self.tracker = PitchTrack(config.compression, rate, late=encoder_lookahead,
                                  octave_check=config.octave_check)
        last = Conv1d(width, BANDS, 1)
        nn.init.zeros_(last.weight)  # features of trained weights may be large
        assert last.bias is not None
        falling = torch.log1p((torch.arange(BANDS) + 0.5) * (rate / 2 / BANDS / CORNER_HZ))
        with torch.no_grad():
            last.bias.copy_(START - TILT * falling)
        self.envelope = Sequence(LeakyReLU(width), Conv1d(width, width, 1), LeakyReLU(width), last)
        self.harmonics = Harmonics(BANDS, config.compression, rate, config.harmonics,
                                   config.crossover_hz, config.clear)

    @property
    def coded(self) -> int:
        """Channels of encode and decode: those of the model without tones, pitch and clarity."""
        return self.latents + self.tracker.out_channels

    def beside(self, encoder: Streaming) -> Streaming:
        """Audio -> means, log_stds, pitch, clarity."""
        return Parallel(encoder, self.tracker, combine="concat")

    def means(self) -> Streaming:
        """Of what `beside` gives, what encode tells."""
        count, whole = self.latents, 2 * self.latents + self.tracker.out_channels
        return Parallel(Channels(whole, 0, count), Channels(whole, 2 * count, whole),
                        combine="concat")

    def sampled(self, sample: LatentSample) -> Streaming:
        """Of what `beside` gives, what forward decodes: pitch and clarity are not drawn."""
        count, whole = self.latents, 2 * self.latents + self.tracker.out_channels
        return Parallel(Sequence(Channels(whole, 0, 2 * count), sample),
                        Channels(whole, 2 * count, whole), combine="concat")

    def features(self, first: tuple[Streaming, ...]) -> Streaming:
        """What the decoder's first level makes, with pitch and clarity behind it."""
        return Parallel(Sequence(*first), Channels(self.coded, self.latents, self.coded),
                        combine="concat")

    def heads(self, rest: tuple[Streaming, ...]) -> Parallel:
        """From `features`: the rest of the decoder, and harmonics."""
        width = self.width
        whole = width + self.tracker.out_channels
        tone = Sequence(
            Parallel(Channels(whole, width, whole),
                     Sequence(Channels(whole, 0, width), *self.envelope), combine="concat"),
            self.harmonics)
        return Parallel(Sequence(Channels(whole, 0, width), *rest), tone, combine="sum")


@torch.no_grad()
def widened(weight: torch.Tensor, inputs: int) -> torch.Tensor:
    """A convolution's weight [out, in, taps] for more inputs, of which it takes no notice yet."""
    missing = inputs - weight.shape[1]
    return torch.cat((weight, weight.new_zeros(weight.shape[0], missing, weight.shape[2])), dim=1)
