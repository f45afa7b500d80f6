"""A variational autoencoder of frames of a spectrogram, whose sound is made in real time.

    audio -> spectrum -> [bands] -> convolutions, strided over `frames` -> mean, log_std    (encode)
    latents -> scale, bias -> upsampling convolutions -> log-magnitudes of tone and noise
            -> resynth -> audio                                                             (decode)

    audio    |  hop  |  hop  |  hop  |  hop  |   ...        a latent frame is of `frames` hops, and
    frames   |   0   |   1   |   2   |   3   |              of what came before them
    latents  |               0               |

It is an instrument of resynthesis rather than an effect: from sound to sound takes `fft` samples,
and the block of `frames` hops that the first of them waits for. The two magnitudes, one whose phase
follows from peaks and one of random phase, are those of `spectrogram_gan.py`.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field, field_validator
from torch import Tensor

from engine.hearing.scales import band_weights
from engine.layers import (
    Affine,
    Channels,
    Conv1d,
    Exp,
    Fixed,
    FixedEach,
    Guard,
    LatentSample,
    LeakyReLU,
    Log,
    Resynth,
    Sequence,
    Spectrum,
    Streaming,
)
from engine.layers.spectrum import FLOOR
from engine.models.chain import Chain, Link
from engine.models.coded import drawn
from engine.models.conv_coded import ConvCoded, levels_down, levels_up
from engine.models.frames import MIDDLE, SPAN, FramesConfig, heads

MOST_FRAMES = 16
Count = Annotated[int, Field(ge=1, le=4096)]


class SpectrogramVAEConfig(FramesConfig):
    """Shape of the family `spectrogram_vae`."""

    sample_rate_hz: Annotated[int, Field(ge=1000, le=384000)] = 16000
    frames: Annotated[int, Field(ge=1, le=MOST_FRAMES)] = 4  # for each frame of latents
    latents: Annotated[int, Field(ge=1, le=512)] = 16
    # What the encoder hears: every bin, or `bands` along a scale of frequency.
    scale: Literal["bins", "mel", "log"] = "bins"
    bands: Annotated[int, Field(ge=4, le=1024)] = 96
    width: Count = 128
    kernel_size: Annotated[int, Field(ge=1, le=9)] = 3
    dilations: tuple[Annotated[int, Field(ge=1, le=256)], ...] = (1, 3)

    @field_validator("frames")
    @classmethod
    def _halves(cls, value: int) -> int:
        if value & (value - 1):
            raise ValueError("must be 1, 2, 4, 8 or 16 (nn~ needs a power of two)")
        return value

    @property
    def compression(self) -> int:
        """Samples for each frame of latents."""
        return self.hop * self.frames

    @property
    def strides(self) -> tuple[int, ...]:
        """From frames of a spectrum to those of latents, in steps of 4, then 2."""
        found, left = [], self.frames
        while left > 1:
            found.append(min(4, left))
            left //= found[-1]
        return tuple(found)


class SpectrogramVAE(ConvCoded):
    """Methods encode, decode and forward, and what the last two make sound of:

    decode_magnitudes, forward_magnitudes   log-magnitudes of tone, then of noise, in nepers
    """

    family: ClassVar[str] = "spectrogram_vae"
    config: SpectrogramVAEConfig

    def __init__(self, config: SpectrogramVAEConfig) -> None:
        super().__init__()
        self.config = config
        self.guard_audio = Guard(1)
        self.guard_latents = Guard(config.latents)
        self.affine = Affine(config.latents)
        self.sample = LatentSample(config.latents)
        self.encoder = _encoder(config)
        self.decoder = _decoder(config)
        self.sound = Resynth(config.fft, config.hop)

    @property
    def latent_count(self) -> int:
        return self.config.latents

    def chains(self) -> dict[str, Chain]:
        latents, audio, names = self.config.latents, ("audio",), self.coded_labels
        said, ratio = self.config.bin_labels, self.config.compression
        encode: tuple[Link, ...] = (self.guard_audio, ("encoder", self.encoder))
        frames: tuple[Link, ...] = (self.affine, ("decoder", self.decoder))
        given, played = (self.guard_latents, *frames), (*encode, self.sample, *frames)
        return {
            "encode": Chain.of(*encode, Channels(2 * latents, 0, latents), inputs=audio,
                               outputs=names, role="encode"),
            "decode": Chain.of(*given, ("sound", self.sound), inputs=names, outputs=audio,
                               in_ratio=ratio, role="decode"),
            "forward": Chain.of(*played, ("sound", self.sound), inputs=audio, outputs=audio,
                                role="effect"),
            "decode_magnitudes": Chain.of(*given, inputs=names, outputs=said, in_ratio=ratio,
                                          role="decode"),
            "forward_magnitudes": Chain.of(*played, inputs=audio, outputs=said, role="encode"),
        }

    # --- what training asks for -------------------------------------------------------------

    def frames_of(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Log-magnitudes of tone and of noise, in nepers [batch, bins, frames] each, of latents
        `z` [batch, latents, frames of latents]."""
        tone, noise = self.decoder.offline(z).chunk(2, dim=1)
        return tone, noise

    def reconstruct(self, z: Tensor) -> Tensor:
        return self.sound.offline(self.decoder.offline(z))

    def draws(self, z: Tensor, count: int) -> tuple[Tensor, ...]:
        return drawn((self.decoder, self.sound), z, count)


def _encoder(config: SpectrogramVAEConfig) -> Sequence:
    """Audio [1, time] -> [2 * latents, time / compression]: means, then log_stds."""
    width, strides = config.width, config.strides
    layers: list[Streaming] = [Spectrum(config.fft, config.hop)]
    count = config.bins
    if config.scale != "bins":  # the mean magnitude of each band
        weights = band_weights(config.scale, config.bands, config.fft, config.sample_rate_hz)
        layers += [Exp(count), Fixed(torch.from_numpy(weights)[:, :, None]),
                   Log(config.bands, FLOOR)]
        count = config.bands
    layers += [FixedEach(torch.full((count,), 1 / SPAN), torch.full((count,), -MIDDLE / SPAN)),
               Conv1d(count, width, 1),
               *levels_down((width,) * (len(strides) + 1), strides, config.kernel_size,
                            config.dilations),
               LeakyReLU(width), Conv1d(width, 2 * config.latents, 1)]
    return Sequence(*layers)


def _decoder(config: SpectrogramVAEConfig) -> Sequence:
    """Latents [latents, time / compression] -> log-magnitudes [2 * bins, time / hop]."""
    width, strides = config.width, config.strides
    return Sequence(
        Conv1d(config.latents, width, config.kernel_size),
        *levels_up((width,) * (len(strides) + 1), strides, config.kernel_size, config.dilations),
        *heads(width, config.bins))
