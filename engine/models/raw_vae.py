"""A fully convolutional variational autoencoder of the waveform (document 003, section 3).

    audio -> guard -> filter bank -> strided convolutions -> mean, log_std      (encode)
    latents -> scale, bias -> upsampling convolutions -> heads -> filter bank   (decode)

`controls` are channels beside the latents whose meaning is fixed: loudness, pitch. The encoder is
taught to say them and the decoder to obey them (`training/objectives/controls.py`); to every
backend they are latents.

Everything runs at band rate or below: with 16 bands at 16 kHz no convolution but the filter bank
itself runs faster than 1 kHz. Two heads share the decoder: a gated waveform per band, and noise
per band under a learned envelope, because techno is half noise, of which no one needs the samples.
With `harmonics` a third plays sines at a pitch that is tracked (`raw_vae_tones.py`).
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from engine.layers import (
    Affine,
    Channels,
    Conv1d,
    GatedUnit,
    Guard,
    Identity,
    LatentSample,
    LeakyReLU,
    NoiseMultiply,
    Parallel,
    PQMFAnalysis,
    PQMFSynthesis,
    Sequence,
    Sigmoid,
    Streaming,
    Tanh,
)
from engine.models.base import Model
from engine.models.chain import Chain, Link
from engine.models.coded import drawn, played
from engine.models.conv_coded import ConvCoded, levels_down, levels_up
from engine.models.raw_vae_config import (
    CONTROL_LABELS,
    CONTROL_STARTS,
    TRACKED,
    RawVAEConfig,
)
from engine.models.raw_vae_growth import grown
from engine.models.raw_vae_tones import Tones


def _units(config: RawVAEConfig) -> tuple[int, tuple[int, ...], bool]:
    """The shape of residual units, at any level."""
    return config.kernel_size, config.dilations, config.separable


def _encoder(config: RawVAEConfig) -> Sequence:
    """Audio [channels, time] -> [2 * taught, time / compression]: means, then log_stds."""
    bands = config.channels * config.bands
    # Beside each band a saturated copy of it: the loss is logarithmic, so the encoder must hear
    # what happens at -60 dB, where the linear signal is too small to move a convolution.
    loud = Conv1d(bands, bands, 1, groups=bands, bias=False)
    nn.init.constant_(loud.weight, 30.0)
    layers: list[Streaming] = [
        PQMFAnalysis(config.bands, config.channels),
        Parallel(Identity(bands), Sequence(loud, Tanh(bands)), combine="concat"),
        Conv1d(2 * bands, config.widths[0], config.kernel_size),
    ]
    layers += levels_down(config.widths, config.strides, *_units(config))
    last = config.widths[-1]
    means = Conv1d(last, 2 * config.taught, 1)
    _settle_controls(means, config)
    return Sequence(*layers, LeakyReLU(last), means)


@torch.no_grad()
def _settle_controls(last: Conv1d, config: RawVAEConfig) -> None:
    """Controls start at a likely value, and `forward` adds no noise to them: their log_std is the
    least there is, and nothing trains it."""
    assert last.bias is not None
    for i, name in enumerate(config.controls, config.latents):
        last.bias[i] = CONTROL_STARTS[name]
        last.weight[config.taught + i] = 0
        last.bias[config.taught + i] = LatentSample.LOG_STD_RANGE[0]


def _decoder(config: RawVAEConfig) -> Sequence:
    """Latents and controls [coded, time] -> audio [channels, time * compression]."""
    layers: list[Streaming] = [
        Conv1d(config.coded, config.widths[-1], config.kernel_size),
        *levels_up(config.widths, config.strides, *_units(config)),
    ]
    layers += [LeakyReLU(config.widths[0]), _heads(config),
               PQMFSynthesis(config.bands, config.channels), Tanh(config.channels)]
    return Sequence(*layers)


def _heads(config: RawVAEConfig) -> Streaming:
    """Bands from features: gated waveform, plus noise under a learned envelope."""
    width, bands = config.widths[0], config.channels * config.bands
    wave = Conv1d(width, 2 * bands, config.kernel_size)
    branches: list[Streaming] = [Sequence(wave, GatedUnit(2 * bands, "linear"))]
    if config.noise:
        count = bands + (config.bands if config.shared_noise else 0)
        envelope = Conv1d(width, count, config.kernel_size)
        assert envelope.bias is not None
        nn.init.constant_(envelope.bias, -4.0)  # start near -36 dB: music is mostly quieter than 1
        noise: list[Streaming] = [envelope, Sigmoid(count), NoiseMultiply(count)]
        branches.append(Sequence(*noise, *([_spread(config.bands)] if config.shared_noise else [])))
    return Parallel(*branches, combine="sum")


def _spread(bands: int) -> Streaming:
    """[left, right, shared] -> [left + shared, right + shared], each of `bands` channels."""
    both = Parallel(Identity(bands), Identity(bands), combine="concat")
    return Parallel(Channels(3 * bands, 0, 2 * bands),
                    Sequence(Channels(3 * bands, 2 * bands, 3 * bands), both), combine="sum")


class RawVAE(ConvCoded):
    """Waveform VAE with methods encode, decode and forward."""

    family: ClassVar[str] = "raw_vae"
    config: RawVAEConfig

    def __init__(self, config: RawVAEConfig) -> None:
        super().__init__()
        self.config = config
        self.guard_audio = Guard(config.channels)
        self.guard_latents = Guard(config.coded)
        self.encoder = _encoder(config)
        self.decoder = _decoder(config)
        self.sample = LatentSample(config.taught)
        self.tones = Tones(config, int(self.encoder.lookahead)) if config.harmonics else None

    @property
    def latent_count(self) -> int:
        return self.config.latents

    @property
    def controls(self) -> tuple[str, ...]:
        return self.config.controls + self.tracked

    @property
    def tracked(self) -> tuple[str, ...]:
        return TRACKED if self.config.harmonics else ()

    @property
    def coded_labels(self) -> tuple[str, ...]:
        return self.latent_labels + tuple(CONTROL_LABELS[name] for name in self.controls)

    def chains(self) -> dict[str, Chain]:
        audio = ("audio",) if self.config.channels == 1 else ("left", "right")
        coded, names, tones = self.coded, self.coded_labels, self.tones
        encoder: Streaming = self.encoder if tones is None else tones.beside(self.encoder)
        means = Channels(2 * coded, 0, coded) if tones is None else tones.means()
        sampled = self.sample if tones is None else tones.sampled(self.sample)
        encode: tuple[Link, ...] = (self.guard_audio, ("encoder", encoder))
        decode: tuple[Link, ...] = (Affine(coded), ("decoder", self._decoding()))
        return {
            "encode": Chain.of(*encode, means, inputs=audio, outputs=names, role="encode"),
            "decode": Chain.of(self.guard_latents, *decode, inputs=names, outputs=audio,
                               in_ratio=self.config.compression, role="decode"),
            "forward": Chain.of(*encode, sampled, *decode, inputs=audio, outputs=audio,
                                role="effect"),
        }

    def _decoding(self) -> Sequence:
        """The decoder, with tones if there are any: features, heads, what keeps them below 1."""
        if self.tones is None:
            return self.decoder
        layers = tuple(self.decoder)
        first = 1 + len(self.config.dilations)  # the latents' own level
        return Sequence(self.tones.features(layers[:first]), self.tones.heads(layers[first:-1]),
                        layers[-1])

    def distribution(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Posterior of a batch from fresh state: mean and log_std, each [batch, coded, frames]:
        latents first, then controls, which have the least log_std there is."""
        mean, log_std = super().distribution(x)
        if self.tones is not None:
            pitch = self.tones.tracker.offline(self.guard_audio(x, ())[0])
            mean = torch.cat((mean, pitch), dim=1)
            log_std = torch.cat((log_std, torch.full_like(pitch, LatentSample.LOG_STD_RANGE[0])),
                                dim=1)
        return mean, log_std

    def reconstruct(self, z: Tensor) -> Tensor:
        """Audio [batch, channels, time] from latents and controls [batch, coded, frames], with
        gradients."""
        return self._decoding().offline(z)

    def draws(self, z: Tensor, count: int) -> tuple[Tensor, ...]:
        """What comes before the first layer that draws is played once. Gradients reach the first
        sound alone."""
        if self.tones is None:
            return super().draws(z, count)
        features, heads, last = self._decoding()
        body, tone = heads
        x = played((features,), z, {})
        tones = played((tone,), x, {})
        return tuple(played((last,), part + tones, {}) for part in drawn(tuple(body), x, count))

    def begin_with(self, other: Model) -> None:
        """Weights with harmonics or without do, and those of one channel for two."""
        assert isinstance(other, RawVAE)
        self.load_state_dict(grown(other.state_dict(), other.config, self.state_dict(),
                                   self.config, len(self.decoder.layers) - 3))

    def restart_noise(self) -> None:
        own: Any = self.decoder.layers[-3]
        fresh: Any = _heads(self.config)
        if self.config.noise:
            own.branches[-1].load_state_dict(fresh.branches[-1].state_dict())
