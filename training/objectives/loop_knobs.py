"""Whether a plan of loops obeys its knobs, as a loss: what a small network reads of the latents of
real loops, it must read of planned ones whose knobs were swapped for those of other loops.

Likelihood alone leaves knobs weak: code and style already say nearly all of how dense and how
bright a loop is, so a knob that contradicts them is never seen in training. (The reader is to knobs
what the recogniser of InfoGAN, Chen et al. 2016, is to codes, but learns from real loops only.)
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from engine.models.loops_config import LoopConfig
from engine.scores.loops import KNOBS

WIDTH = 64


class KnobReader(nn.Module):
    """Standardised latents [batch, latents, frames] -> knobs [batch, KNOBS]: means over time of
    what layers hear, so that onsets can be counted. Only training has it."""

    def __init__(self, config: LoopConfig) -> None:
        super().__init__()
        self.heard = nn.Sequential(
            nn.Conv1d(config.latents, WIDTH, 5, stride=2, padding=2), nn.LeakyReLU(0.2),
            nn.Conv1d(WIDTH, WIDTH, 5, stride=2, padding=2), nn.LeakyReLU(0.2),
            nn.Conv1d(WIDTH, 2 * WIDTH, 3, padding=1), nn.LeakyReLU(0.2))
        self.said = nn.Linear(2 * WIDTH, len(KNOBS))

    def forward(self, z: Tensor) -> Tensor:
        found: Tensor = self.said(self.heard(z).mean(dim=2))
        return found

    def judging(self, z: Tensor) -> Tensor:
        """The same; what is learnt by it is learnt by what made `z`, and not by the reader."""
        fixed = {name: value.detach() for name, value in self.named_parameters()}
        found: Tensor = torch.func.functional_call(self, fixed, (z,))
        return found


def knobs_of(rows: Tensor, config: LoopConfig) -> Tensor:
    """Where the knobs of rows [batch, conditions, chunks] stand, [batch, KNOBS]: the same in all
    chunks."""
    first = config.place(KNOBS[0])
    return rows[:, first : first + len(KNOBS), 0]


def swapped(rows: Tensor, config: LoopConfig) -> tuple[Tensor, Tensor]:
    """Rows [batch, conditions, chunks] with every knob that of another example, each knob by
    itself, and those knobs [batch, KNOBS]. What they are a gradient of is not followed."""
    rows = rows.detach().clone()
    for at in map(config.place, KNOBS):
        rows[:, at] = rows[torch.randperm(len(rows), device=rows.device), at]
    return rows, knobs_of(rows, config)
