"""The heads of the trial. Each model takes pieces of audio and what was worked out beforehand of
them (`prepare`: no gradients, no processor time of the training), and gives two draws of sound."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from engine.layers import (
    Conv1d,
    Harmonics,
    LeakyReLU,
    PQMFAnalysis,
    PQMFSynthesis,
    Sequence,
    Snake,
    Streaming,
)
from engine.models.coded import drawn, played
from engine.models.raw_vae import RawVAE
from engine.models.raw_vae_config import RawVAEConfig
from engine.models.raw_vae_tones import BANDS, CORNER_HZ, START, TILT
from training.objectives.aligned import compared
from training.objectives.losses import kl_penalty, kl_per_dimension
from training.objectives.noise_head import FLOOR_WEIGHT, listening
from training.objectives.tones import TONE_WEIGHT, tone_loss, tones_of

KL_WEIGHT = 1e-3
SHAPE: dict[str, Any] = {"sample_rate_hz": 16000, "latents": 16, "compression": 128, "bands": 16,
                         "strides": [4, 2], "widths": [32, 48, 64], "dilations": [1, 3]}
SHORT: dict[str, Any] = {"compression": 64, "strides": [4], "widths": [80, 80], "dilations": [1]}


class Waveform(nn.Module):
    """Waveform and noise, as the product has it."""

    def __init__(self, **shape: Any) -> None:
        super().__init__()
        self.body = self._body(RawVAEConfig(**{**SHAPE, **shape}))
        self.body.changed()
        self.hop, self.late = self.body.ratio, self.body.main.lookahead_samples

    def _body(self, config: RawVAEConfig) -> RawVAE:
        return RawVAE(config)

    def prepare(self, audio: Tensor, truth: Tensor) -> Tensor:
        """[pieces, samples], [pieces, 2 * voices, labels] -> [pieces, channels, frames]."""
        return audio.new_zeros(len(audio), 0, audio.shape[1] // self.hop)

    def loss(self, audio: Tensor, known: Tensor) -> Tensor:
        mean, log_std = self.body.distribution(audio)
        z = mean + torch.exp(log_std) * torch.randn_like(mean)
        with listening(self.body) as levels, tones_of(self.body) as tones:
            draws = self.body.draws(torch.cat((z, known), dim=1), 2)
        found = compared(self.body, draws, audio, 1.0)
        penalty = kl_penalty(kl_per_dimension(mean, log_std), 0.0)
        loss = found.score + found.linear_score + KL_WEIGHT * penalty
        loss = loss + FLOOR_WEIGHT * levels.floor()
        tone = tone_loss(tones, self.body, audio.repeat(self.voices, 1, 1))
        return loss if tone is None else loss + TONE_WEIGHT * tone

    voices = 1

    @torch.no_grad()
    def play(self, audio: Tensor, known: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Two draws and what they should be, each [pieces, samples], without the delay."""
        mean, _ = self.body.distribution(audio)
        a, b = self.body.draws(torch.cat((mean, known), dim=1), 2)
        return a[:, 0, self.late :], b[:, 0, self.late :], audio[:, 0, : -self.late or None]


def _exchange(model: nn.Module, kind: type, make: Callable[[Any], Streaming]) -> None:
    """Every layer of a kind for another one."""
    for parent in list(model.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, kind):
                setattr(parent, name, make(child))


class SnakeWaveform(Waveform):
    def _body(self, config: RawVAEConfig) -> RawVAE:
        body = RawVAE(config)
        _exchange(body, LeakyReLU, lambda old: Snake(old.in_channels))
        return body


class LongBankWaveform(Waveform):
    """A filter bank of twice as many taps a band."""

    def _body(self, config: RawVAEConfig) -> RawVAE:
        body = RawVAE(config)
        _exchange(body, PQMFAnalysis, lambda old: PQMFAnalysis(old.bands, 1, 12))
        _exchange(body, PQMFSynthesis, lambda old: PQMFSynthesis(old.bands, 1, 12))
        return body


class PitchedBody(RawVAE):
    """With harmonics of several pitches, which come behind the latents as pitch, clarity, pitch,
    ... Each voice has an envelope of its own. One voice is the product's model with harmonics."""

    def __init__(self, config: RawVAEConfig, voices: int) -> None:
        super().__init__(config)
        self.voices, width = voices, config.widths[-1]
        rate = float(config.sample_rate_hz)
        self.decoder.layers[0] = Conv1d(config.latents + 2 * voices, width, config.kernel_size)
        last = Conv1d(width, BANDS * voices, 1)
        nn.init.zeros_(last.weight)
        falling = torch.log1p((torch.arange(BANDS) + 0.5) * (rate / 2 / BANDS / CORNER_HZ))
        assert last.bias is not None
        with torch.no_grad():
            last.bias.copy_((START - TILT * falling).repeat(voices))
        self.envelope = Sequence(LeakyReLU(width), Conv1d(width, width, 1), LeakyReLU(width), last)
        self.bank = Harmonics(BANDS, config.compression, rate, crossover_hz=config.crossover_hz)

    def draws(self, z: Tensor, count: int) -> tuple[Tensor, ...]:
        layers = tuple(self.decoder)
        first = 1 + len(self.config.dilations)
        features = played(layers[:first], z, {})
        envelopes = self.envelope.offline(features).unflatten(1, (self.voices, BANDS))
        asked = torch.cat((z[:, self.config.latents :].unflatten(1, (self.voices, 2)), envelopes),
                          dim=2)  # [batch, voices, 2 + bands, frames]
        tones = self.bank.offline(asked.transpose(0, 1).flatten(0, 1))
        tones = tones.unflatten(0, (self.voices, -1)).sum(dim=0)
        return tuple(torch.tanh(part + tones) for part in drawn(layers[first:-1], features, count))


class Pitched(Waveform):
    """`track` says the pitches: (audio, truth, hop, voices) -> [pieces, 2 * voices, frames]."""

    def __init__(self, voices: int, track: Callable[..., Tensor], **shape: Any) -> None:
        self.voices, self.track = voices, track
        super().__init__(**shape)

    def _body(self, config: RawVAEConfig) -> RawVAE:
        return PitchedBody(config, self.voices)

    def prepare(self, audio: Tensor, truth: Tensor) -> Tensor:
        return self.track(audio, truth, self.hop, self.voices)


@dataclass(frozen=True)
class Row:
    title: str
    make: Callable[[], nn.Module]
