"""The objective "frame_autoencoder": frames of a spectrogram as near to those of the input as they
can be. Sound is not made, so a step costs what the network does.

    audio -> latents -> tone, noise -> |e^tone + e^noise g| -> loss <- log-magnitudes of the audio

Losses are of log-magnitudes in nepers, the mean over frames and over bins, or over bands of other
scales (`scales`):

    l1        mean | a - y |
    mse       mean (a - y)^2
    gaussian  -ln N(y; a, s^2), s learnt for every bin or band
    laplace   -ln of a Laplace distribution, its width learnt likewise
    energy    mean | a - y | - 1/2 mean | a - b |     a, b: two draws of the noise g

The first four are least without noise, whose draw no latent knows; by them the noise part falls
silent. The energy score (Gneiting and Raftery 2007; Gritsenko et al. 2020) is least when draws are
spread as the sound is.
"""

from __future__ import annotations

from math import log, pi
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from engine.errors import ConfigError
from engine.hearing.scales import band_weights
from engine.models.base import Model
from engine.models.spectrogram_vae import SpectrogramVAE
from training.objectives.aligned import aligned
from training.objectives.autoencoder_settings import CodedSettings
from training.objectives.base import Moment, Terms
from training.objectives.coded import CodedObjective
from training.objectives.frame_spectra import FrameSpectra, heard_power, nepers
from training.objectives.gan import HEARD

ENERGY = "energy"
LEAST_LOG_SCALE = -3.0  # of a width that is learnt, in nepers
Scale = Literal["stft", "mel", "log"]


class FrameAutoencoderSettings(CodedSettings):
    """Keys of `[training]`."""

    reconstruction: Literal["l1", "mse", "gaussian", "laplace", "energy"] = "energy"
    # What is compared: every bin, or bands of their mean power; the mean of the losses of several.
    scales: Annotated[tuple[Scale, ...], Field(strict=False, min_length=1)] = ("stft", "mel")
    loss_bands: Annotated[int, Field(ge=4, le=1024)] = 64  # of "mel" and "log"


class FrameAutoencoderObjective(CodedObjective):
    """Takes batches with "audio" [batch, 1, samples]."""

    settings = FrameAutoencoderSettings
    model: SpectrogramVAE

    def __init__(self, model: Model, config: Any) -> None:
        if not isinstance(model, SpectrogramVAE):
            raise ConfigError(f"family {model.family!r} has no latents that become frames of "
                              "log-magnitudes; this objective is for spectrogram_vae")
        super().__init__(model, config)
        self.watched = ("energy_score" if config.reconstruction == ENERGY else "spectral_distance")
        shape = model.config
        self.spectra = FrameSpectra(shape)
        self.log_widths = nn.ParameterDict()
        for scale in config.scales:
            count = shape.bins
            if scale != "stft":
                count = config.loss_bands
                weights = band_weights(scale, count, shape.fft, shape.sample_rate_hz)
                self.register_buffer(f"{scale}_bands", torch.from_numpy(weights), persistent=False)
            if config.reconstruction in ("gaussian", "laplace"):
                self.log_widths[scale] = nn.Parameter(torch.zeros(count, 1))

    def reconstruction(self, coded: Tensor, target: Tensor, at: Moment) -> Terms:
        tone, noise = self.model.frames_of(coded)
        draws = 2 if self.config.reconstruction == ENERGY else 1
        made = [heard_power(tone, noise, self.spectra.white(len(tone), tone.shape[2], at.shard))
                for _ in range(draws)]
        wanted = self.spectra.magnitudes(target).square()
        found = [self.compared(scale, *(self.along(scale, power) for power in (wanted, *made)))
                 for scale in self.config.scales]
        terms = {"loss": torch.stack(found).mean(),
                 "log_distance": (nepers(made[0]) - nepers(wanted)).abs().mean().detach(),
                 "noise_share": noise_share(tone, noise)}
        if self.phase == 2:
            output = self.model.reconstruct(coded)
            terms |= dict(zip(HEARD, aligned(self.model, output, target), strict=True))
        return terms

    def along(self, scale: str, power: Tensor) -> Tensor:
        """Nepers [batch, bins or bands, frames] of power [batch, bins, frames]."""
        if scale != "stft":
            power = torch.einsum("ab,nbt->nat", self.get_buffer(f"{scale}_bands"), power)
        return nepers(power)

    def compared(self, scale: str, y: Tensor, a: Tensor, *other: Tensor) -> Tensor:
        """The loss of `a` beside `y`, both along `scale`; `other`: a second draw."""
        kind = self.config.reconstruction
        if kind == ENERGY:
            b = other[0]
            return 0.5 * ((a - y).abs().mean() + (b - y).abs().mean() - (a - b).abs().mean())
        if kind == "l1":
            return (a - y).abs().mean()
        if kind == "mse":
            return (a - y).square().mean()
        width = self.log_widths[scale].clamp_min(LEAST_LOG_SCALE)
        if kind == "laplace":
            return ((a - y).abs() * torch.exp(-width) + width).mean() + log(2)
        squares = (a - y).square() * torch.exp(-2 * width)
        return (0.5 * squares + width).mean() + 0.5 * log(2 * pi)

    def watch(self, terms: Terms) -> float:
        """A likelihood has no lower end, and further losses of a second phase are no divergence."""
        return float(terms["log_distance"])


@torch.no_grad()
def noise_share(tone: Tensor, noise: Tensor) -> Tensor:
    """Of the power of both, from log-magnitudes."""
    tone, noise = torch.exp(2 * tone).sum(), torch.exp(2 * noise).sum()
    return noise / (tone + noise)
