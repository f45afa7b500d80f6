"""What the latents carry while they are being trained, and whether they have collapsed."""

from __future__ import annotations

from dataclasses import dataclass
from math import log

import torch
from torch import Tensor

from training.objectives.regularisers import RegulariserConfig

ACTIVE_NATS = 0.1  # a latent that carries less than this per frame counts as unused
COLLAPSED = 0.25  # a smaller share of active latents is called a collapse
MEMORY = 0.98  # of the running moments per step


@dataclass(frozen=True)
class LatentState:
    """What was found: nats per frame of each latent, how many count, and all of it per second."""

    nats: tuple[float, ...]
    active: int
    bits_per_second: float

    @property
    def collapsed(self) -> bool:
        """Whether too few latents say anything."""
        return self.active < max(1.0, COLLAPSED * len(self.nats))

    def sentence(self) -> str:
        """For the screen, the latents that carry most first."""
        shown = sorted(self.nats, reverse=True)
        numbers = " ".join(f"{value:.1f}" for value in shown[:16])
        more = " ..." if len(shown) > 16 else ""
        return (f"{self.active} of {len(self.nats)} latents active (above {ACTIVE_NATS:g} nats per "
                f"frame), {self.bits_per_second:.0f} bits/s; nats per latent: {numbers}{more}")


class LatentMonitor:
    """Running moments of the posterior over some 50 batches."""

    def __init__(self) -> None:
        self._moments: Tensor | None = None  # [3, latents]: mean, mean^2, log_std

    @torch.no_grad()
    def update(self, mean: Tensor, log_std: Tensor) -> None:
        """Take in a batch, each [batch, latents, frames]."""
        mean = mean.detach().float()
        new = torch.stack((mean.mean((0, 2)), mean.square().mean((0, 2)) +
                           torch.exp(2 * log_std.detach().float()).mean((0, 2)),
                           log_std.detach().float().mean((0, 2))))
        self._moments = new if self._moments is None else self._moments.lerp_(new, 1 - MEMORY)

    def state(self, frame_rate_hz: float) -> LatentState | None:
        """What the latents carry; None before the first batch."""
        if self._moments is None:
            return None
        first, second, log_std = self._moments
        return latent_state(second - first.square(), log_std, frame_rate_hz)


def latent_state(variance: Tensor, log_std: Tensor, frame_rate_hz: float) -> LatentState:
    """From the variance of all draws of each latent and the mean logarithm of its posterior's
    spread, both [latents].

    The nats are the divergence of the posteriors from the Gaussian that fits all draws best,
    0.5 ln(variance) - E[log_std]: an upper bound of what a frame can tell through that latent,
    whatever its scale and whichever regulariser trained it."""
    nats = (0.5 * variance.clamp_min(1e-20).log() - log_std).clamp_min(0)
    return LatentState(tuple(nats.tolist()), int((nats > ACTIVE_NATS).sum()),
                       float(nats.sum()) / log(2) * frame_rate_hz)


def advice(state: LatentState, regulariser: RegulariserConfig) -> str:
    """What may help against latents that say nothing."""
    said = f"only {state.active} of {len(state.nats)} latents say anything"
    if regulariser.kind == "none":
        return f"{said}; a lower training.learning_rate may help"
    return (f"{said}; lower training.regulariser.weight (now {regulariser.weight:g}) "
            "or raise its warmup_steps")
