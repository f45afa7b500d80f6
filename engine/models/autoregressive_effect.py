"""`forward` of a model that draws sound: an effect. Every sample is drawn anew from the sound that
came in before it (teacher forcing); nothing that was drawn is read, so there is no loop.

    audio ------+-> a sample later ---------------------+-> the loop's net -> draw -> sound --+-> *
                +-> has anything sounded? -> 0 or 1 ----)-------------------------------------+
    conditions ---> rows, as before the loop -----------+

Conditions come at the rate of the audio, as hosts give them; what they are at the end of a row
holds for the row. `free` is none of them: it is 1 where no gate is on, so that sound alone will do.
"""

from __future__ import annotations

import torch
from torch import nn

from engine.layers import (
    Channels,
    Embed,
    Guard,
    LeakyReLU,
    Loop,
    Parallel,
    Past,
    Sequence,
    Sigmoid,
    Streaming,
)
from engine.layers.fixed import Fixed, Repeat
from engine.models.autoregressive_config import AutoregressiveConfig
from engine.models.autoregressive_heads import level_table
from engine.models.chain import Chain, Link
from engine.scores.conditions import FREE, GATE

SILENT = 1e-5  # mean magnitude over a release below which nothing sounds: -100 dB of full scale
STEEP = 2.0**20  # of the steps between levels: two of them are further apart than a step is wide


class Effect(nn.Module):
    """What `forward` needs besides the loop: constants, neither trained nor stored."""

    def __init__(self, config: AutoregressiveConfig) -> None:
        super().__init__()
        self.given = [label for label in config.labels if label != FREE] if config.voices else []
        self.inputs = ("audio", *self.given)
        self.heard = Sequence(*self._audio(), *_numbers(config), Past(1, 1))
        self.sounding = Sequence(*self._audio(), *_sounding(config))
        self.told = self._told(config) if config.voices else None

    def _audio(self) -> list[Streaming]:
        return [Channels(len(self.inputs), 0, 1)]

    def _told(self, config: AutoregressiveConfig) -> Sequence:
        """Conditions at the rate of the audio -> a row of them all, with `free` among them."""
        count = len(self.given)
        pick = torch.eye(count, count + 1).roll(1, dims=1)[:, :, None]
        gates = [at for at, label in enumerate(self.given) if label.startswith(GATE)]
        open_gates = Parallel(*(Sequence(
            Channels(count, at, at + 1), Embed(2, 1, torch.tensor([[0.0], [1.0]])))
            for at in gates))
        free = Sequence(open_gates, Embed(2, 1, torch.tensor([[1.0], [0.0]])))
        at = config.labels.index(FREE)
        parts: list[Streaming] = [Channels(count, 0, at), free]
        if at < count:
            parts.append(Channels(count, at, count))
        return Sequence(Fixed(pick, None, config.row_samples), Parallel(*parts, combine="concat"))

    def chain(self, conditioned: tuple[Link, ...], loop: Loop, sound: nn.ModuleList) -> Chain:
        """The method, over layers of the model that `generate` uses too."""
        fed: Streaming = self.heard
        if self.told is not None:
            before = (link[1] for link in conditioned if isinstance(link, tuple))
            rows = Sequence(self.told, *before)
            fed = Parallel(rows, fed, combine="concat")
        drawn = Sequence(fed, loop.net, loop.draw, *sound)  # type: ignore[arg-type]
        return Chain.of(Guard(len(self.inputs)),
                        ("effect", Parallel(drawn, self.sounding, combine="product")),
                        inputs=self.inputs, outputs=("audio",), role="effect")


def _numbers(config: AutoregressiveConfig) -> list[Streaming]:
    """Sound as the loop draws it: as it is, or the number of the nearest level."""
    if config.head == "mixture":
        return []
    levels = level_table(config)[:, 0]
    edges = (levels[1:] + levels[:-1]) / 2
    steep = Fixed(torch.full((len(edges), 1, 1), STEEP), -STEEP * edges)
    return [steep, Sigmoid(len(edges)), Fixed(torch.ones(1, len(edges), 1))]


def _sounding(config: AutoregressiveConfig) -> list[Streaming]:
    """Audio -> 1 as long as there is any, and for a release after it; then 0."""
    row, rows = config.row_samples, config.release_rows
    each = 0.5 / (SILENT * row * rows)
    return [LeakyReLU(1, -1.0),  # its magnitude
            Fixed(torch.full((1, 1, row), each), None, row), Fixed(torch.ones(1, 1, rows)),
            Embed(2, 1, torch.tensor([[0.0], [1.0]])), Repeat(1, row)]
