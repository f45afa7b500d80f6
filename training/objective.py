"""What a training step minimises. One registry; a new objective is a class and a row.

Issue-sized additions have their place here: a WAE-MMD regulariser is another `Objective`;
adversarial losses are an `Objective` with networks of its own (`modules`) and phases that read
`progress`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor, nn

from engine.errors import ConfigError
from training.losses import kl_penalty, kl_per_dimension, spectral_terms

if TYPE_CHECKING:
    from engine.models.base import Model
    from training.config import TrainingConfig

Terms = dict[str, Tensor]


class Autoencoder(Protocol):
    """What the objectives here want of a model."""

    def distribution(self, x: Tensor) -> tuple[Tensor, Tensor]: ...

    def reconstruct(self, z: Tensor) -> Tensor: ...


class Objective(nn.Module):
    """Base: scores a batch. Networks that it trains beside the model are its submodules."""

    def __init__(self, config: TrainingConfig) -> None:
        super().__init__()
        self.config = config

    def terms(self, model: Model, audio: Tensor, step: int) -> Terms:
        """Scalars by name for a batch [batch, channels, time]; "loss" is minimised."""
        raise NotImplementedError


class KLObjective(Objective):
    """Spectral distance, a linear one beside it, and KL divergence with warm-up and free bits."""

    def terms(self, model: Model, audio: Tensor, step: int) -> Terms:
        coder = as_autoencoder(model)
        mean, log_std = coder.distribution(audio)  # each [batch, latents, frames]
        z = mean + torch.exp(log_std) * torch.randn_like(mean)
        distance, linear = aligned_terms(model, coder.reconstruct(z), audio)
        per_dimension = kl_per_dimension(mean.float(), log_std.float())
        warm = min(1.0, (step + 1) / max(1, self.config.kl_warmup_steps))
        penalty = kl_penalty(per_dimension, self.config.free_bits)
        return {
            "loss": distance + self.config.linear_weight * linear
            + warm * self.config.kl_weight * penalty,
            "spectral_distance": distance.detach(),
            "linear_distance": linear.detach(),
            "kl_nats_per_frame": per_dimension.detach().sum(),
            "active_latents": (per_dimension.detach() > ACTIVE_NATS).sum(),
        }


ACTIVE_NATS = 0.1  # a latent that carries less than this per frame counts as unused

OBJECTIVES: dict[str, type[Objective]] = {"kl": KLObjective}


def as_autoencoder(model: Model) -> Autoencoder:
    """`model` as one with a posterior and a decoder, or a clear error."""
    if not (hasattr(model, "distribution") and hasattr(model, "reconstruct")):
        raise ConfigError(f"family {model.family!r} has no posterior; this objective needs one")
    return model  # type: ignore[return-value]


def aligned_terms(model: Model, output: Tensor, audio: Tensor) -> tuple[Tensor, Tensor]:
    """Spectral and linear distance after taking the model's delay out of its output."""
    late = model.methods["forward"].lookahead_samples
    # output: | late | y0 y1 ...    against    audio: | x0 x1 ... | late (has no answer yet)
    return spectral_terms(output[..., late:], audio[..., : audio.shape[-1] - late])
