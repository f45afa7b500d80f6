"""Whether a model's noise heads sound at all.

A noise head adds noise under a learned envelope to what another head makes of the same bands. A
loss that prefers smooth sound pushes it down, until no gradient brings it back. Levels here are of
each band's noise against the whole band.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from math import log
from typing import Any

import torch
from torch import Tensor

from engine.layers import NoiseMultiply, Parallel
from engine.models.coded import Coded

FLOOR_DB = -40.0  # below its band, under which the floor lifts it
SILENT_DB = -45.0  # below the middle band: such a head is called silent
FLOOR_WEIGHT = 0.1  # nepers against the spectral distance
EMPTY = 1e-10  # power of a band that is not heard anyway
MEMORY = 0.98  # of the running level per step
PROBE_FRAMES = 64


@dataclass
class Levels:
    """Mean power of each band, of the noise heads (with gradients) and of all heads together, each
    [bands], per noise head."""

    noise: list[Tensor] = field(default_factory=list)
    whole: list[Tensor] = field(default_factory=list)

    def shares(self) -> Tensor:
        """ln of the noise's amplitude over its band's: [bands], empty without a noise head."""
        if not self.noise:
            return torch.zeros(0)
        noise, whole = torch.cat(self.noise), torch.cat(self.whole).clamp_min(EMPTY)
        return 0.5 * (noise.clamp_min(1e-30).log() - whole.log())

    def floor(self) -> Tensor:
        """Nepers that the bands of the noise lie below the floor, on average. By the logarithm the
        gradient stays, however quiet a head has become."""
        return (FLOOR_DB / 20 * log(10) - self.shares()).clamp_min(0).mean()

    def middle_db(self) -> float:
        """The middle band's level in dB."""
        return float(self.shares().detach().median()) * 20 / log(10)


@contextmanager
def listening(model: torch.nn.Module) -> Iterator[Levels]:
    """Levels of what is played inside."""
    levels, hooks = Levels(), []
    for heads in model.modules():
        if not isinstance(heads, Parallel) or heads.combine != "sum":
            continue
        for branch in heads.branches:
            found = [layer for layer in branch.modules() if isinstance(layer, NoiseMultiply)]
            if len(found) == 1 and not isinstance(branch, Parallel):
                hooks += [branch.register_forward_hook(partial(_heard, levels.noise)),
                          heads.register_forward_hook(partial(_heard_still, levels.whole))]
    try:
        yield levels
    finally:
        for hook in hooks:
            hook.remove()


def _heard(into: list[Tensor], layer: Any, inputs: Any, output: tuple[Tensor, Any]) -> None:
    into.append(output[0].float().square().mean(dim=(0, 2)))


def _heard_still(into: list[Tensor], layer: Any, inputs: Any, output: tuple[Tensor, Any]) -> None:
    into.append(output[0].detach().float().square().mean(dim=(0, 2)))


class NoiseMonitor:
    """The running level of the noise heads over some 50 batches."""

    def __init__(self) -> None:
        self._shares: Tensor | None = None

    @torch.no_grad()
    def update(self, levels: Levels) -> None:
        """Take in a batch."""
        new = levels.shares().detach()
        if not new.numel():
            return
        same = self._shares is not None and self._shares.shape == new.shape
        self._shares = self._shares.lerp_(new, 1 - MEMORY) if same else new  # type: ignore[union-attr]

    def figure(self) -> float | None:
        """dB of the middle band; None without a noise head or before the first batch."""
        return None if self._shares is None else float(self._shares.median()) * 20 / log(10)

    def sentence(self) -> str | None:
        """What is wrong, if something is."""
        level = self.figure()
        if level is None or level >= SILENT_DB:
            return None
        return (f"noise head is silent: {-level:.0f} dB below its bands, so noise is played by the "
                "waveform head, which buzzes")


@torch.no_grad()
def probed_db(model: Coded) -> float | None:
    """Level of the noise heads for latents drawn from the prior; None without one. The same in
    every process."""
    generator = torch.Generator().manual_seed(0)
    like = next(model.parameters())
    z = torch.randn(1, model.coded, PROBE_FRAMES, generator=generator)
    with listening(model) as levels:
        model.reconstruct(z.to(like))
    return levels.middle_db() if levels.noise else None
