"""What heads could do at best, without any training: the shipped presets as they are, the smallest
with harmonics whose levels are measured in the original, and streaming inversion of the original's
own magnitudes, whole or as few numbers a frame tell them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from engine.layers import Harmonics
from engine.models.raw_vae_tones import BANDS
from engine.models.store import load_model
from scripts.heads.inversion import BINS, LEAST, SIZE, inverted
from scripts.heads.pitches import one, several, told
from scripts.heads.sounds import RATE, Material
from training.objectives.tones import LEAST as LEAST_LEVEL
from training.objectives.tones import _levels_at

HOP = 128  # of inversion


@dataclass
class Shipped:
    """A preset, and harmonics beside it where `track` says pitches."""

    preset: str
    track: Callable[..., Tensor] | None = None
    voices: int = 1

    def __post_init__(self) -> None:
        self.body = load_model(self.preset).model
        self.hop, self.late = self.body.ratio, self.body.main.lookahead_samples

    def prepare(self, audio: Tensor, truth: Tensor) -> Tensor:
        if self.track is None:
            return audio.new_zeros(len(audio), 0, audio.shape[1] // self.hop)
        return self.track(audio, truth, self.hop, self.voices)

    @torch.no_grad()
    def play(self, audio: Tensor, known: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        mean, _ = self.body.distribution(audio)
        tone = self._tones(audio, known) if self.track is not None else 0.0
        a, b = ((y[:, 0] + tone)[:, self.late :] for y in self.body.draws(mean, 2))
        return a, b, audio[:, 0, : -self.late or None]

    def _tones(self, audio: Tensor, known: Tensor) -> Tensor:
        bank = Harmonics(BANDS, self.hop, float(RATE))
        asked = known[0].unflatten(0, (self.voices, 2))  # [voices, 2, frames]
        empty = torch.cat((asked, asked.new_zeros(self.voices, BANDS, asked.shape[2])), dim=1)
        frequency, _ = bank.levels(empty)  # [voices, frames, count]
        level = _levels_at(frequency, audio[:, 0].expand(self.voices, -1), bank, self.late)
        place = (frequency * (2 * BANDS) - 0.5).clamp(0, BANDS - 1)
        weight = (1 - (place[..., None] - bank.band).abs()).clamp_min(0) * (
            frequency < 0.5)[..., None]  # [voices, frames, count, bands]
        total = weight.sum(dim=2)
        mean = (weight * level[..., None]).sum(dim=2) / total.clamp_min(1e-6)
        envelope = torch.where(total > 0, mean, torch.full_like(mean, LEAST_LEVEL))
        return bank.offline(torch.cat((asked, envelope.transpose(1, 2)), dim=1)).sum(dim=0)


class Inversion:
    """Of log-magnitudes, as `numbers` a frame tell them by principal components; 0: as they are."""

    hop, late = HOP, 0

    def __init__(self, sounds: Material, numbers: int) -> None:
        self.mean, self.basis = np.zeros(BINS), np.eye(BINS)
        if numbers:
            some = torch.from_numpy(sounds.train.audio[:80])
            rows = np.concatenate([magnitudes(x) for x in some])
            self.mean = rows.mean(axis=0)
            self.basis = np.linalg.eigh(np.cov(rows.T))[1][:, -numbers:]

    def prepare(self, audio: Tensor, truth: Tensor) -> Tensor:
        return audio.new_zeros(len(audio), 0, 0)

    def play(self, audio: Tensor, known: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        level = magnitudes(audio[0, 0]) - self.mean
        level = level @ self.basis @ self.basis.T + self.mean
        quiet = np.zeros(level.shape, bool)
        a, b = (torch.from_numpy(inverted(level, quiet, HOP, seed).astype(np.float32))[None]
                for seed in range(2))
        return a, b, audio[:, 0, : a.shape[1]]


def magnitudes(audio: Tensor) -> np.ndarray:
    """Their logarithm, of windows that end with each `HOP` samples: [frames, bins]."""
    window = torch.hann_window(SIZE)
    rows = F.pad(audio, (SIZE - HOP, 0)).unfold(0, SIZE, HOP) * window
    found = torch.fft.rfft(rows).abs() * (2 / window.sum())
    return found.clamp_min(float(np.exp(LEAST))).log().double().numpy()


def ceilings(sounds: Material) -> dict[str, Callable[[], object]]:
    """Rows by title."""
    plain = "techno-tiny"
    return {
        "`techno-tiny` as shipped": lambda: Shipped(plain),
        "`techno-daisy`: frames of 64": lambda: Shipped("techno-daisy"),
        "`techno-tiny` + one tracked pitch": lambda: Shipped(plain, one, 1),
        "+ two": lambda: Shipped(plain, several, 2),
        "+ three": lambda: Shipped(plain, several, 3),
        "+ three, told": lambda: Shipped(plain, told, 3),
        "inversion of the original's magnitudes": lambda: Inversion(sounds, 0),
        "of 64 numbers a frame": lambda: Inversion(sounds, 64),
        "of 16 numbers a frame": lambda: Inversion(sounds, 16),
    }
