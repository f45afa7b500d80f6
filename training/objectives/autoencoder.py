"""What a training step minimises. One registry; a new objective is a class and a row.

How latents are regularised is `regularisers.py`; what the adversarial phase adds is
`adversarial.py`, what controls beside the latents are taught `controls.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from engine.errors import ConfigError
from engine.models.coded import Coded
from training.objectives.controls import ControlLoss, Grid, control_loss
from training.objectives.losses import spectral_terms
from training.objectives.monitor import LatentMonitor
from training.objectives.regularisers import build_regulariser

if TYPE_CHECKING:
    from engine.models.base import Model
    from training.objectives.adversarial import Adversary
    from training.run.config import TrainingConfig

Terms = dict[str, Tensor]


class Objective(nn.Module):
    """Base: scores a batch. Networks that it trains beside the model are its submodules."""

    def __init__(self, config: TrainingConfig) -> None:
        super().__init__()
        self.config = config
        self.monitor: LatentMonitor | None = None
        self.adversary: Adversary | None = None  # with it, the objective may have a second phase

    def terms(self, model: Model, audio: Tensor, step: int) -> Terms:
        """Scalars by name for a batch [batch, channels, time]; "loss" is minimised;
        "spectral_distance", if there is one, tells whether the run diverges."""
        raise NotImplementedError


class AutoencoderObjective(Objective):
    """Spectral distance, a linear one beside it, and the regulariser of the configuration."""

    def __init__(self, config: TrainingConfig) -> None:
        super().__init__(config)
        self.regulariser = build_regulariser(config.regulariser)
        self.monitor = LatentMonitor()

    def terms(self, model: Model, audio: Tensor, step: int) -> Terms:
        coder, adversary = as_coded(model), self.adversary
        playing = adversary is not None and adversary.began_step >= 0
        frozen = playing and adversary is not None and adversary.config.freeze_encoder
        with torch.set_grad_enabled(torch.is_grad_enabled() and not frozen):
            mean, log_std = coder.distribution(audio)  # each [batch, latents, frames]
            mean, log_std, taught = self._taught(model, mean, log_std, audio)
            z = mean + torch.exp(log_std) * torch.randn_like(mean)
        target = audio if taught is None else taught.target
        output = coder.reconstruct(z if taught is None else torch.cat((z, taught.values), dim=1))
        distance, linear = aligned_terms(model, output, target)
        penalty, figures = self.regulariser.penalty(mean, log_std, z)
        assert self.monitor is not None
        self.monitor.update(mean, log_std)
        loss = distance + self.config.linear_weight * linear
        loss = loss + self.regulariser.weight(step) * penalty
        if taught is not None:
            loss = loss + self.config.control_weight * taught.loss
            figures = {**figures, **taught.figures}
        if playing and adversary is not None:
            heard, extra = adversary.play(*aligned(model, output, target), step)
            loss, figures = loss + heard, {**figures, **extra}
        return {"loss": loss, "spectral_distance": distance.detach(),
                "linear_distance": linear.detach(), **figures}

    @staticmethod
    def _taught(
        model: Model, mean: Tensor, log_std: Tensor, audio: Tensor
    ) -> tuple[Tensor, Tensor, ControlLoss | None]:
        """The posterior without its controls, and what these are taught, if there are any."""
        names = as_coded(model).controls
        if not names:
            return mean, log_std, None
        latents = mean.shape[1] - len(names)
        assert model.coder is not None
        grid = Grid.of(model.sample_rate_hz, model.coder[0])
        taught = control_loss(names, grid, mean[:, latents:], audio)
        return mean[:, :latents], log_std[:, :latents], taught


OBJECTIVES: dict[str, type[Objective]] = {"autoencoder": AutoencoderObjective}


def as_coded(model: Model) -> Coded:
    """`model` as one with latents, or a clear error."""
    if not isinstance(model, Coded):
        raise ConfigError(f"family {model.family!r} has no latents; this objective needs them")
    return model


def aligned_terms(model: Model, output: Tensor, audio: Tensor) -> tuple[Tensor, Tensor]:
    """Spectral and linear distance after taking the model's delay out of its output."""
    return spectral_terms(*aligned(model, output, audio))


def aligned(model: Model, output: Tensor, audio: Tensor) -> tuple[Tensor, Tensor]:
    """Output and target without the model's delay, of one length."""
    late = model.main.lookahead_samples
    # output: | late | y0 y1 ...    against    audio: | x0 x1 ... | late (has no answer yet)
    return output[..., late:], audio[..., : audio.shape[-1] - late]
