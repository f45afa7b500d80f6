"""A host with any block size around a player that wants multiples of its ratio.

    host hands over   | 100 | 100 | 100 |        ratio 128: whole blocks are played as soon as
    player plays      |   - | 128 | 128 |        they are complete, the rest waits
    host gets back    | 100 | 100 | 100 |        `added_latency_samples` later, no more

For methods that keep the rate, as many frames come out as went in. For methods that change it
(encode, decode) what is ready comes out.
"""

from __future__ import annotations

from math import gcd

import numpy as np
from numpy.typing import ArrayLike

from engine.players.base import FloatArray, Player


class Host:
    """Plays one method of one player in blocks of any, even changing, size."""

    def __init__(
        self, player: Player, method: str | None = None, block: int | None = None
    ) -> None:
        """`method`: None plays the main one. `block`: input frames per call if always the same,
        which keeps the latency least; None when block sizes may vary."""
        self.player = player
        self.spec = player.description.method(method)
        unit = self.spec.in_frames
        self.same_rate = self.spec.in_ratio == self.spec.out_ratio
        self._wait = unit - (gcd(block, unit) if block else 1) if self.same_rate else 0
        self._held = np.zeros((self.spec.in_channels, 0), np.float32)
        self._ready = np.zeros((self.spec.out_channels, self._wait), np.float32)

    @property
    def added_latency_samples(self) -> int:
        """Delay that buffering adds to the player's own, in audio samples."""
        if self.same_rate:
            return self._wait * self.spec.in_ratio
        return (self.spec.in_frames - 1) * self.spec.in_ratio

    @property
    def latency_samples(self) -> int:
        """The player's own delay plus that of buffering."""
        return self.spec.lookahead_samples + self.added_latency_samples

    def process(self, block: ArrayLike) -> FloatArray:
        """One host block: float32 [in_channels, frames] -> [out_channels, frames']."""
        x = np.asarray(block, np.float32)
        self._held = np.concatenate((self._held, x), axis=1)
        whole = self._held.shape[1] // self.spec.in_frames * self.spec.in_frames
        if whole:
            y = self.player.process(self.spec.name, self._held[:, :whole])
            self._held = self._held[:, whole:]
            self._ready = np.concatenate((self._ready, y), axis=1)
        count = x.shape[1] if self.same_rate else self._ready.shape[1]
        out, self._ready = self._ready[:, :count], self._ready[:, count:]
        return out
