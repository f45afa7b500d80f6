"""An oscillator in each of 64 bands, whose frequency and amplitude are decoded from latents; the
encoder also hears where each band has its peak (a short-time spectrum of the past)."""

from __future__ import annotations

from math import pi
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engine.models.coded import drawn, played
from scripts.heads.models import KL_WEIGHT, Waveform
from scripts.heads.sounds import RATE
from training.objectives.aligned import compared
from training.objectives.losses import kl_penalty, kl_per_dimension
from training.objectives.noise_head import FLOOR_WEIGHT, listening

BANDS, WINDOW, APART = 64, 1024, 32  # samples from the frame to those that phase is compared with
WIDTH_HZ = RATE / 2 / BANDS
QUIET = -9.5  # ln of amplitude
LATER = 3  # frames from what is decoded to the analysis of the same moment
AMPLITUDE, SILENCE, FREQUENCY = 0.1, 0.03, 1.5  # weights of what oscillators are taught


def peaks(audio: Tensor, hop: int) -> Tensor:
    """Of windows that end with each frame: ln amplitude of each band's peak, where it lies in the
    band (-1 to 1) and how tonal it is (0 to 1): [pieces, 3 * bands, frames]."""
    frames, window = audio.shape[1] // hop, torch.hann_window(WINDOW)
    padded = F.pad(audio, (WINDOW, 2 * APART))

    def spectrum(shift: int) -> Tensor:
        rows = padded[:, hop + shift :].unfold(1, WINDOW, hop)[:, :frames]
        return torch.fft.rfft(rows * window) * (2 / window.sum())

    before, here, after = (spectrum(shift) for shift in (-APART, 0, APART))
    level, wide = here.abs().clamp_min(1e-7).log(), WINDOW // 2 // BANDS
    grouped = level[..., : WINDOW // 2].unflatten(-1, (BANDS, wide))
    at = (grouped.argmax(-1) + torch.arange(BANDS) * wide).clamp(1, WINDOW // 2 - 1)
    a, b, c = (level.gather(-1, at + k) for k in (-1, 0, 1))
    shift = (0.5 * (a - c) / (a - 2 * b + c - 1e-9)).clamp(-0.5, 0.5)
    hertz = (at + shift) * (RATE / WINDOW)
    turned = torch.angle(after.gather(-1, at) * before.gather(-1, at).conj())
    away = torch.remainder(turned - 4 * pi * hertz * APART / RATE + pi, 2 * pi) - pi
    away = away * RATE / (4 * pi * APART)
    height = b - 0.25 * (a - c) * shift
    tonal = torch.exp(-((away / 6) ** 2)) * (b >= a) * (b >= c) * (height > QUIET)
    tonal = tonal * (height > height.amax(-1, keepdim=True) - 7)
    tonal = tonal * (b - grouped.median(-1).values > 1)
    tonal[..., :2] = 0
    place = ((hertz / WIDTH_HZ - torch.arange(BANDS) - 0.5) * 2).clamp(-1.1, 1.1)
    return torch.cat((height, place, tonal), dim=-1).transpose(1, 2)


def _causal(wide: int, out: int, taps: int) -> nn.Module:
    return nn.Sequential(nn.ConstantPad1d((taps - 1, 0), 0.0), nn.Conv1d(wide, out, taps))


class Banded(Waveform):
    def __init__(self, **shape: Any) -> None:
        super().__init__(**shape)
        width = self.body.config.widths[-1]
        self.ears = nn.Sequential(_causal(3 * BANDS, 96, 3), nn.LeakyReLU(0.2), _causal(96, 96, 3),
                                  nn.LeakyReLU(0.2), nn.Conv1d(96, 2 * self.body.config.latents, 1))
        self.ask = nn.Sequential(nn.LeakyReLU(0.2), nn.Conv1d(width, 128, 1), nn.LeakyReLU(0.2),
                                 nn.Conv1d(128, 2 * BANDS, 1))
        with torch.no_grad():
            self.ask[-1].weight.mul_(0.1)
            self.ask[-1].bias[:BANDS] = -5.0

    def prepare(self, audio: Tensor, truth: Tensor) -> Tensor:
        return peaks(audio, self.hop)

    def _coded(self, audio: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
        height, place, tonal = known.chunk(3, dim=1)
        heard = self.ears(torch.cat(((height.clamp_min(-11) + 6) / 3, place * tonal, tonal), dim=1))
        mean, log_std = self.body.distribution(audio)
        more, spread = heard.chunk(2, dim=1)
        return mean + more, (log_std + spread).clamp(-10, 2)

    def _draws(self, z: Tensor) -> tuple[tuple[Tensor, ...], Tensor, Tensor]:
        layers = tuple(self.body.decoder)
        first = 1 + len(self.body.config.dilations)
        features = played(layers[:first], z, {})
        level, place = self.ask(features).chunk(2, dim=1)
        level, place = level.clamp(-11.5, 0), 1.2 * torch.tanh(place)
        tone = self._tones(level, place)
        return (tuple(torch.tanh(part + tone) for part in drawn(layers[first:-1], features, 2)),
                level, place)

    def _tones(self, level: Tensor, place: Tensor) -> Tensor:
        """Frequency and amplitude move in straight lines from frame to frame."""
        now = (torch.arange(BANDS)[:, None] + 0.5 + 0.5 * place) * (WIDTH_HZ / RATE)
        last = torch.cat((now[..., :1], now[..., :-1]), dim=-1)
        t = torch.arange(1, self.hop + 1)
        with torch.no_grad():
            whole = (self.hop * last + (now - last) * (self.hop + 1) / 2).double()
            start = whole.cumsum(dim=-1) - whole + torch.rand(*whole.shape[:2], 1)
            start = (start - start.floor()).float()
        phase = start[..., None] + last[..., None] * t + (now - last)[..., None] * (
            t * (t + 1) / 2 / self.hop)
        waves = torch.sin(2 * pi * phase)  # [batch, bands, frames, hop]
        up, rise = level.exp(), t / self.hop
        down = torch.cat((up[..., :1], up[..., :-1]), dim=-1)
        return (torch.einsum("bknt,bkn->bnt", waves, up) * rise
                + torch.einsum("bknt,bkn->bnt", waves, down) * (1 - rise)).flatten(1)[:, None]

    def loss(self, audio: Tensor, known: Tensor) -> Tensor:
        mean, log_std = self._coded(audio, known)
        with listening(self.body) as levels:
            draws, level, place = self._draws(mean + log_std.exp() * torch.randn_like(mean))
        found = compared(self.body, draws, audio, 1.0)
        loss = found.score + found.linear_score + FLOOR_WEIGHT * levels.floor()
        loss = loss + KL_WEIGHT * kl_penalty(kl_per_dimension(mean, log_std), 0.0)
        height, where, tonal = (part[..., 8 + LATER :] for part in known.chunk(3, dim=1))
        level, place = level[..., 8:-LATER], place[..., 8:-LATER]
        wanted = torch.where(tonal > 0.3, height, torch.full_like(height, -11.0)).clamp(-11, 0)
        total, off = tonal.sum() + 1, (level - wanted).abs()
        loss = loss + AMPLITUDE * (tonal * off).sum() / total
        loss = loss + SILENCE * ((1 - tonal) * off).mean()
        return loss + FREQUENCY * (tonal * (place - where).abs()).sum() / total

    @torch.no_grad()
    def play(self, audio: Tensor, known: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        a, b = self._draws(self._coded(audio, known)[0])[0]
        return a[:, 0, self.late :], b[:, 0, self.late :], audio[:, 0, : -self.late]
