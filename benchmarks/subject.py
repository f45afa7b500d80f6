"""A model file as something to be timed: its player, a block size and prepared input."""

from __future__ import annotations

from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.stimulus import beats, blocks
from engine.players.host import Host

if TYPE_CHECKING:
    from engine.players.base import FloatArray, Player

STIMULUS_SECONDS = 4.0  # eight beats and the silent one among them
LATENT_GAIN = 4.0  # latents are of unit variance, audio is not


def label(source: str) -> str:
    """How a model is called in tables: the file's name, or the preset's."""
    return Path(source).name or source


def playable_block(player: Player, method: str | None, block_samples: int) -> int:
    """`block_samples`, raised to whole input frames: half a latent frame cannot be handed over."""
    unit = player.description.method(method).in_ratio
    return ceil(block_samples / unit) * unit


class FileSubject:
    """One method of one player, fed with blocks of `block_samples` audio samples.

    Blocks that the method cannot take as they are go through `engine.players.host.Host`, whose
    work is then part of the time, as it is for a host that has to do the same."""

    def __init__(self, player: Player, method: str | None, block_samples: int) -> None:
        spec = player.description.method(method)
        if block_samples % spec.in_ratio:
            raise ValueError(f"{block_samples} samples are no whole frames of {spec.in_ratio}")
        self.player, self.method, self.block_samples = player, spec.name, block_samples
        self.frames = block_samples // spec.in_ratio
        self.host = Host(player, method, self.frames) if self.frames % spec.in_frames else None
        self._inputs = self._prepare()

    @property
    def through_host(self) -> bool:
        """True when blocks are regrouped, because they are no multiple of the ratio."""
        return self.host is not None

    @property
    def deadline_ms(self) -> float:
        """How long a block lasts."""
        return 1000 * self.block_samples / self.player.sample_rate_hz

    @property
    def algorithmic_samples(self) -> int:
        """Delay that the model itself has, however fast it is computed."""
        return self.player.latency_samples(self.method)

    @property
    def buffering_samples(self) -> int:
        """How long a block's first sample waits for its last, plus what regrouping adds."""
        added = self.host.added_latency_samples if self.host else 0
        return self.block_samples - 1 + added

    def _prepare(self) -> list[FloatArray]:
        spec, rate = self.player.description.method(self.method), self.player.sample_rate_hz
        frame_rate = rate / spec.in_ratio
        length = max(ceil(STIMULUS_SECONDS * frame_rate), self.frames)
        signal = beats(spec.in_channels, length, frame_rate)
        if spec.in_ratio > 1:
            signal *= LATENT_GAIN
        prepared = blocks(signal, self.frames)
        if self.player.batch > 1 and self.host is None:
            prepared = [block[None].repeat(self.player.batch, axis=0) for block in prepared]
        return prepared

    def play(self, index: int) -> FloatArray:
        """Play the block `index`, counting round the prepared ones."""
        x = self._inputs[index % len(self._inputs)]
        if self.host is not None:
            return self.host.process(x)
        return self.player.process(self.method, x)
