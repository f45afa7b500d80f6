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

from engine.errors import AudioError, ConfigError
from engine.players.base import FloatArray, Player


class Host:
    """Plays one method of a player in blocks of any, even changing, size: a stream with a state of
    its own. Any number of hosts may share a player; its attributes hold for all of them."""

    def __init__(
        self, player: Player, method: str | None = None, block: int | None = None
    ) -> None:
        """`method`: None plays the main one. `block`: input frames per call if always the same,
        which keeps the latency least; None when block sizes may vary."""
        if block is not None and block < 1:
            raise ConfigError(f"block must be at least 1 frame, got {block}")
        self.player = player
        self.spec = player.description.method(method)
        unit = self.spec.in_frames
        self.same_rate = self.spec.in_ratio == self.spec.out_ratio
        self.step = gcd(block, unit) if block else 1  # what all blocks are multiples of
        self.block = block
        self._wait = unit - self.step if self.same_rate else 0
        self._state = player.new_state()
        self._empty()

    def reset(self) -> None:
        """As if nothing had been played; attributes stay."""
        self.player.reset(self._state)
        self._empty()

    def _empty(self) -> None:
        batch = self.player.batch
        self._held = np.zeros((batch, self.spec.in_channels, 0), np.float32)
        self._ready = np.zeros((batch, self.spec.out_channels, self._wait), np.float32)

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
        """One host block, as `Player.process` takes it: [in_channels, frames] ->
        [out_channels, frames'], with an axis of streams before them where the player has several.
        """
        given = self.player.checked(self.spec, block)
        x = given[None] if given.ndim == 2 else given
        if self.same_rate and x.shape[2] % self.step:
            unit = self.spec.in_frames
            raise AudioError(
                f"this host was made for blocks of {self.block} frames, got {x.shape[2]}: it takes "
                f"multiples of {self.step}; without block=... it takes any size, "
                f"{unit - 1 - self._wait} samples later")
        self._held = np.concatenate((self._held, x), axis=2)
        whole = self._held.shape[2] // self.spec.in_frames * self.spec.in_frames
        if whole:
            y = self.player.process(self.spec.name, self._held[:, :, :whole], self._state)
            self._held = self._held[:, :, whole:]
            self._ready = np.concatenate((self._ready, y), axis=2)
        count = x.shape[2] if self.same_rate else self._ready.shape[2]
        out, self._ready = self._ready[:, :, :count], self._ready[:, :, count:]
        return out[0] if given.ndim == 2 else out
