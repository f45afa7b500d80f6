"""Sounds made from latents: sweeps of one, paths between two sounds, draws from the prior."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from engine.description import Latent, Method
from engine.errors import ConfigError
from engine.players.base import Player
from engine.players.play_file import stream

FloatArray = NDArray[np.float32]
BLOCK_SECONDS = 1.0


@dataclass(frozen=True)
class Space:
    """What is known of a model's latents: ranges, and the prior that they were trained for."""

    latents: tuple[Latent, ...]
    regulariser: dict[str, Any] | None  # the table that trained them, if known
    controls: int = 0  # how many of the last are controls, which no prior holds

    @property
    def low(self) -> FloatArray:
        return np.array([latent.low for latent in self.latents], np.float32)

    @property
    def high(self) -> FloatArray:
        return np.array([latent.high for latent in self.latents], np.float32)

    @property
    def mean(self) -> FloatArray:
        return np.array([latent.mean for latent in self.latents], np.float32)

    @property
    def active(self) -> list[int]:
        return [index for index, latent in enumerate(self.latents) if latent.active]


def space_of(player: Player, latents: FloatArray, regulariser: dict[str, Any] | None) -> Space:
    """From what the model's file says, or else from `latents` [latents, frames] just encoded. A
    file without measurements lacks the scale of its prior too, so a fitted one is used."""
    controls = len(player.description.controls)
    if player.description.latents:
        return Space(player.description.latents, regulariser, controls)
    low, high = np.quantile(latents, [0.01, 0.99], axis=1)
    return Space(tuple(
        Latent(float(low[i]), float(high[i]), float(row.mean()), float(row.std()), float("nan"),
               bool(row.std() > 0.05), 1.0, i)
        for i, row in enumerate(latents)
    ), None, controls)


def coder_of(player: Player) -> tuple[Method, Method]:
    """Encode and decode, or an error for a model without latents to play."""
    coder = player.description.coder
    if coder is None:
        raise ConfigError(f"{player.name} has no latents to look at: it has no pair of methods "
                          "that encode and decode")
    return coder


def encode(player: Player, audio: FloatArray) -> FloatArray:
    """[channels, samples] -> [latents, frames] from fresh state."""
    player.reset()
    spec, _ = coder_of(player)
    block = max(1, round(BLOCK_SECONDS * player.sample_rate_hz / spec.ratio)) * spec.ratio
    return stream(player, spec.name, audio, block, align=False)[0]


def decode(player: Player, latents: FloatArray) -> FloatArray:
    """[latents, frames] -> [channels, samples] from fresh state."""
    player.reset()
    _, spec = coder_of(player)
    block = max(1, round(BLOCK_SECONDS * player.sample_rate_hz / spec.in_ratio))
    return stream(player, spec.name, np.ascontiguousarray(latents, np.float32), block,
                  align=False)[0]


def traversal(space: Space, index: int, frames: int) -> FloatArray:
    """One latent from its low to its high end, the others at their means: [latents, frames]."""
    path = np.repeat(space.mean[:, None], frames, axis=1)
    path[index] = np.linspace(space.low[index], space.high[index], frames)
    return path


def interpolation(a: FloatArray, b: FloatArray) -> FloatArray:
    """From the latents of one sound to those of another, both playing on: [latents, frames]."""
    frames = min(a.shape[1], b.shape[1])
    share = np.linspace(0, 1, frames, dtype=np.float32)
    return (1 - share) * a[:, :frames] + share * b[:, :frames]


def prior_draws(space: Space, frames: int, seed: int = 0) -> tuple[FloatArray, str]:
    """Independent frames from the prior, in the model's units: ([latents, frames], which prior).

    The prior is that of the regulariser that trained the model. Without one, or without knowing
    it, it is a Gaussian with each latent's mean and spread on the corpus, as it is for controls,
    which stay in their ranges."""
    generator = torch.Generator().manual_seed(seed)
    count = len(space.latents) - space.controls
    drawn, said = None, "Gaussian fitted to the corpus"
    if space.regulariser is not None:
        from training.objectives.regularisers import build_regulariser, checked

        config = checked(space.regulariser)
        drawn = build_regulariser(config).prior(frames, count, generator)
        if drawn is not None:
            said = f"{getattr(config, 'prior', 'gaussian')} prior of {config.kind}"
    if drawn is None:
        return _fitted(space, frames, generator), said
    index = torch.tensor([latent.index for latent in space.latents[:count]])
    scale = torch.tensor([latent.scale for latent in space.latents[:count]])
    own = (drawn[:, index] / scale).T.contiguous().numpy().astype(np.float32)
    if space.controls:
        own = np.concatenate([own, _fitted(space, frames, generator)[count:]])
    return own, said


def _fitted(space: Space, frames: int, generator: torch.Generator) -> FloatArray:
    """Gaussian draws with the means and spreads of the corpus: [latents, frames]."""
    spread = np.array([latent.std for latent in space.latents], np.float32)
    noise = torch.randn(frames, len(space.latents), generator=generator).numpy()
    found = np.ascontiguousarray((space.mean + spread * noise).T)
    for i in range(len(found) - space.controls, len(found)):
        found[i] = np.clip(found[i], space.low[i], space.high[i])
    return found


def shuffled(latents: FloatArray, frames: int, seed: int = 0) -> FloatArray:
    """Frames of real sounds in random order: as good as independent frames can be."""
    order = np.random.default_rng(seed).integers(latents.shape[1], size=frames)
    return np.ascontiguousarray(latents[:, order])


def smoothness(curve: NDArray[np.float64], per_second: float) -> float:
    """Range over total variation of a curve, after a mean over 0.2 s: 1 for a curve that only
    rises or only falls, towards 0 for one that trembles. NaN if there is nothing to see."""
    heard = curve[np.isfinite(curve)]
    size = max(1, round(0.2 * per_second))
    if len(heard) < 2 * size:
        return float("nan")
    calm = np.convolve(heard, np.ones(size) / size, mode="valid")
    variation = float(np.abs(np.diff(calm)).sum())
    return float(np.ptp(calm)) / variation if variation > 0 else 1.0
