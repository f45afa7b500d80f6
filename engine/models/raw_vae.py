"""A fully convolutional variational autoencoder of the waveform (document 003, section 3).

    audio -> guard -> filter bank -> strided convolutions -> mean, log_std      (encode)
    latents -> scale, bias -> upsampling convolutions -> heads -> filter bank   (decode)

`controls` are channels beside the latents whose meaning is fixed: loudness, pitch. The encoder is
taught to say them and the decoder to obey them (`training/objectives/controls.py`); to every
backend they are latents.

Everything runs at band rate or below: with 16 bands at 16 kHz no convolution but the filter bank
itself runs faster than 1 kHz. Two heads share the decoder: a gated waveform per band, and noise
per band under a learned envelope, because techno is half noise and the spectral distance rewards
its envelope, not its samples.
"""

from __future__ import annotations

from fractions import Fraction
from math import inf
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from engine.description import Attribute, Latent, Method
from engine.graph import Builder, Graph, Value
from engine.layers import (
    Conv1d,
    ConvTranspose1d,
    GatedUnit,
    Guard,
    Identity,
    LatentSample,
    LeakyReLU,
    NoiseMultiply,
    Parallel,
    PQMFAnalysis,
    PQMFSynthesis,
    Residual,
    Sequence,
    Sigmoid,
    State,
    Streaming,
    Tanh,
)
from engine.layers.base import chain_receptive_field
from engine.layers.noise import SEED, SEED_LIMIT
from engine.models.base import Attributes, Model, samples
from engine.models.raw_vae_config import CONTROL_LABELS, CONTROL_STARTS, RawVAEConfig


def _block(width: int, config: RawVAEConfig) -> list[Streaming]:
    """Residual units of growing dilation at one level."""
    units: list[Streaming] = []
    for dilation in config.dilations:
        groups = width if config.separable else 1
        wide = [Conv1d(width, width, config.kernel_size, dilation=dilation, groups=groups)]
        if config.separable:
            wide.append(Conv1d(width, width, 1))
        units.append(Residual(LeakyReLU(width), *wide, LeakyReLU(width), Conv1d(width, width, 1)))
    return units


def _encoder(config: RawVAEConfig) -> Sequence:
    """Audio [channels, time] -> [2 * coded, time / compression]: means, then log_stds."""
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
    for level, stride in enumerate(config.strides):
        width, below = config.widths[level], config.widths[level + 1]
        layers += _block(width, config)
        layers += [LeakyReLU(width), Conv1d(width, below, 2 * stride, stride=stride)]
    last = config.widths[-1]
    layers += _block(last, config)
    means = Conv1d(last, 2 * config.coded, 1)
    _settle_controls(means, config)
    return Sequence(*layers, LeakyReLU(last), means)


@torch.no_grad()
def _settle_controls(last: Conv1d, config: RawVAEConfig) -> None:
    """Controls start at a likely value, and `forward` adds no noise to them: their log_std is the
    least there is, and nothing trains it."""
    assert last.bias is not None
    for i, name in enumerate(config.controls, config.latents):
        last.bias[i] = CONTROL_STARTS[name]
        last.weight[config.coded + i] = 0
        last.bias[config.coded + i] = LatentSample.LOG_STD_RANGE[0]


def _decoder(config: RawVAEConfig) -> Sequence:
    """Latents and controls [coded, time] -> audio [channels, time * compression]."""
    layers: list[Streaming] = [
        Conv1d(config.coded, config.widths[-1], config.kernel_size),
        *_block(config.widths[-1], config),
    ]
    for level in reversed(range(len(config.strides))):
        width, below, stride = config.widths[level], config.widths[level + 1], config.strides[level]
        layers += [LeakyReLU(below), ConvTranspose1d(below, width, 2 * stride, stride)]
        layers += _block(width, config)
    layers += [LeakyReLU(config.widths[0]), _heads(config),
               PQMFSynthesis(config.bands, config.channels), Tanh(config.channels)]
    return Sequence(*layers)


def _heads(config: RawVAEConfig) -> Streaming:
    """Bands from features: gated waveform, plus noise under a learned envelope."""
    width, bands = config.widths[0], config.channels * config.bands
    wave = Conv1d(width, 2 * bands, config.kernel_size)
    branches: list[Streaming] = [Sequence(wave, GatedUnit(2 * bands, "linear"))]
    if config.noise:
        envelope = Conv1d(width, bands, config.kernel_size)
        assert envelope.bias is not None
        nn.init.constant_(envelope.bias, -4.0)  # start near -36 dB: music is mostly quieter than 1
        branches.append(Sequence(envelope, Sigmoid(bands), NoiseMultiply(bands)))
    return Parallel(*branches, combine="sum")


class RawVAE(Model):
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
        self.sample = LatentSample(config.coded)
        self.set_latents(())

    @property
    def controls(self) -> tuple[str, ...]:
        """Names of the last channels of encode and decode, behind the latents."""
        return self.config.controls

    def set_latents(self, latents: tuple[Latent, ...]) -> None:
        """Take in what was measured of each latent and control, and call latents that carry
        nothing unused."""
        count = self.config.coded
        if latents and len(latents) != count:
            raise ValueError(f"{len(latents)} latents were measured, the model has {count}")
        super().set_latents(latents)
        unused = [bool(latents) and not latent.active for latent in latents] or [False] * count
        names = tuple(f"latent {i + 1}{' (unused)' if unused[i] else ''}"
                      for i in range(self.config.latents))
        names += tuple(CONTROL_LABELS[control] for control in self.config.controls)
        self.methods = _methods(self, names)
        self.attributes = {a.name: a for a in (
            Attribute("temperature", 1, 0.0, 0.0, 4.0,
                      "latent noise in forward: 0 none, 1 as much as the encoder is unsure",
                      ("temperature",)),
            Attribute("scale", count, 1.0, -4.0, 4.0,
                      "factor on each latent before decoding", names),
            Attribute("bias", count, 0.0, -8.0, 8.0,
                      "offset on each latent before decoding", names),
            Attribute(SEED, 1, 0.0, 0.0, float(SEED_LIMIT),
                      "other noise for another whole number; every stream has its own anyway",
                      ("seed",)),
        )}

    def state_shapes(self, method: str) -> list[tuple[int, ...]]:
        encoder, decoder = self.encoder.state_shapes(), self.decoder.state_shapes()
        return {"encode": encoder, "decode": decoder,
                "forward": encoder + self.sample.state_shapes() + decoder}[method]

    def step(
        self, method: str, x: Tensor, state: State, attributes: Attributes
    ) -> tuple[Tensor, State]:
        if method == "encode":
            y, state = self.encoder(self.guard_audio(x, ())[0], state)
            return y[:, : self.config.coded], state
        if method == "decode":
            return self._decode(self.guard_latents(x, ())[0], state, attributes)
        cut = len(self.encoder.state_shapes())
        y, encoder_state = self.encoder(self.guard_audio(x, ())[0], state[:cut])
        z, noise_state = self.sample(y, state[cut : cut + 1], attributes["temperature"],
                                     attributes.get(SEED))
        y, decoder_state = self._decode(z, state[cut + 1 :], attributes)
        return y, encoder_state + noise_state + decoder_state

    def _decode(self, z: Tensor, state: State, attributes: Attributes) -> tuple[Tensor, State]:
        scale, bias = attributes["scale"][:, None], attributes["bias"][:, None]  # [coded, 1]
        return self.decoder(z * scale + bias, state, attributes)

    def graph(self, method: str) -> Graph:
        build = Builder(method, self.methods[method].in_channels)
        x = build.input
        if method in ("encode", "forward"):
            x = self.guard_audio.lower(build, x)
            with build.scope("encoder"):
                x = self.encoder.lower(build, x)
            if method == "encode":
                coded = self.config.coded
                x = build.op("slice", x, channels=coded, attributes={"start": 0, "stop": coded})
                return build.finish(x)
            x = self.sample.lower(build, x)
        else:
            x = self.guard_latents.lower(build, x)
        return build.finish(self._lower_decoder(build, x))

    def _lower_decoder(self, build: Builder, x: Value) -> Value:
        x = build.op("affine", x, attributes={"scale": "scale", "bias": "bias"})
        with build.scope("decoder"):
            return self.decoder.lower(build, x)

    def distribution(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Posterior of a batch from fresh state: mean and log_std, each [batch, coded, frames]:
        latents first, then controls, which have the least log_std there is."""
        y = self.encoder.offline(self.guard_audio(x, ())[0])
        mean, log_std = y.chunk(2, dim=1)
        return mean, log_std.clamp(*LatentSample.LOG_STD_RANGE)

    @torch.no_grad()
    def rescale_latents(self, factor: Tensor) -> None:
        """Divide each latent by `factor` [latents] without changing any sound: the encoder's last
        convolution shrinks what the decoder's first one then grows. Powers of two are exact.
        Controls keep their units."""
        count, coded = self.config.latents, self.config.coded
        last: Any = self.encoder.layers[-1]
        first: Any = self.decoder.layers[0]
        last.weight[:count].div_(factor[:, None, None])
        last.bias[:count].div_(factor)
        last.bias[coded : coded + count].sub_(factor.log())
        first.weight[:, :count].mul_(factor[None, :, None])

    @torch.no_grad()
    def permute_latents(self, order: Tensor) -> None:
        """Let latent i be what latent `order[i]` was; no sound changes but for rounding."""
        count, coded = self.config.latents, self.config.coded
        last: Any = self.encoder.layers[-1]
        first: Any = self.decoder.layers[0]
        all_of_them = torch.cat((order, torch.arange(count, coded, device=order.device)))
        both = torch.cat((all_of_them, all_of_them + coded))
        last.weight.copy_(last.weight[both])
        last.bias.copy_(last.bias[both])
        first.weight.copy_(first.weight[:, all_of_them])

    @torch.no_grad()
    def silence_latents(self, start: int, mean: Tensor) -> None:
        """Hold every latent from `start` on at its `mean` [latents]: encode gives 0 there, and
        decode ignores it. Controls go on."""
        count, coded = self.config.latents, self.config.coded
        last: Any = self.encoder.layers[-1]
        first: Any = self.decoder.layers[0]
        still = slice(start, count)
        first.bias.add_((first.weight[:, still].sum(dim=2) * mean[still]).sum(dim=1))
        first.weight[:, still] = 0
        for part in (still, slice(coded + start, coded + count)):
            last.weight[part] = 0
            last.bias[part] = 0
        last.bias[coded + start : coded + count] = LatentSample.LOG_STD_RANGE[0]

    def reconstruct(self, z: Tensor) -> Tensor:
        """Audio [batch, channels, time] from latents and controls [batch, coded, frames], with
        gradients."""
        return self.decoder.offline(z)


def _methods(model: RawVAE, latents: tuple[str, ...]) -> dict[str, Method]:
    """The three methods with ratios and delays worked out from the layers."""
    config, ratio = model.config, model.config.compression
    audio = ("audio",) if config.channels == 1 else ("left", "right")
    encoder, decoder = model.encoder, model.decoder
    decoder_field = decoder.receptive_field
    through = chain_receptive_field([encoder, decoder])
    return {
        "encode": Method("encode", config.channels, 1, config.coded, ratio, audio, latents,
                         samples(encoder.lookahead), encoder.receptive_field),
        "decode": Method("decode", config.coded, ratio, config.channels, 1, latents, audio,
                         samples(decoder.lookahead, ratio),
                         inf if decoder_field == inf else samples(Fraction(decoder_field), ratio)),
        "forward": Method("forward", config.channels, 1, config.channels, 1, audio, audio,
                          samples(encoder.lookahead + decoder.lookahead * ratio),
                          through, granularity_samples=ratio),
    }
