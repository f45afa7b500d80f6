"""Sounds that a model makes by itself."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil

import numpy as np
from numpy.typing import NDArray

from engine.errors import AudioError
from engine.layers.noise import SEED
from engine.players.base import Player

FloatArray = NDArray[np.float32]
BLOCK_SECONDS = 0.25

Ask = Callable[[Player, FloatArray, int], None]


def generated(player: Player, seconds: float, count: int, ask: Ask | None = None
              ) -> list[FloatArray]:
    """`count` sounds [channels, samples] of the main method: one for each stream of the player, or
    with one stream one after another, each with the next seed. `ask(player, x, number)` may fill in
    the conditions of sound `number`, [channels, frames], which are 0 otherwise."""
    rounds = [range(count)] if player.batch == count > 1 else [range(i, i + 1)
                                                               for i in range(count)]
    found: list[FloatArray] = []
    before = player.get(SEED) if SEED in player.attributes else None
    for numbers in rounds:
        spec = player.description.main
        blocks = max(1, ceil(seconds * player.sample_rate_hz / spec.ratio))
        x = np.zeros((len(numbers), spec.in_channels, blocks * spec.in_frames), np.float32)
        if len(rounds) > 1 and SEED in player.attributes:
            player.set(SEED, numbers[0])
        for row, number in zip(x, numbers, strict=True):
            if ask is not None:
                ask(player, row, number)
        found += list(played(player, x))
    if before is not None:
        player.set(SEED, before)
    length = max(1, round(seconds * player.sample_rate_hz / player.description.main.out_ratio))
    if not all(np.isfinite(sound).all() for sound in found):
        raise AudioError(f"{player.name} generates numbers that are not finite")
    return [sound[:, :length] for sound in found]


def played(player: Player, x: FloatArray) -> FloatArray:
    """Whole smallest blocks [batch, channels, frames] through the main method, from fresh state."""
    player.reset()
    spec = player.description.main
    block = max(1, int(BLOCK_SECONDS * player.sample_rate_hz / spec.ratio)) * spec.in_frames
    if len(x) != player.batch:
        return np.stack([played(player, row[None])[0] for row in x])
    return np.concatenate([player.process(spec.name, np.ascontiguousarray(x[..., at : at + block]))
                           for at in range(0, x.shape[-1], block)], axis=-1)
