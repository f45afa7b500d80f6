"""What holds the latents near a prior, and what that prior is. One registry, chosen by the table
`[training.regulariser]`:

    kind = "kl"        Kullback-Leibler divergence from a unit Gaussian, per latent and frame
    kind = "wae-mmd"   maximum mean discrepancy between all latents of a batch and the prior
    kind = "none"      nothing

All three draw the latent around the encoder's mean. Without a divergence per frame nothing pays
for precision, so the encoder may make that spread as small as it likes.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import Annotated, Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from torch import Tensor

from engine.errors import ConfigError, nearest
from engine.models.registry import explain
from training.objectives.losses import kl_penalty, kl_per_dimension

TABLE = "training.regulariser."
NotNegative = Annotated[float, Field(ge=0)]
# Widths of the kernels in units of the expected squared distance of two draws from the prior,
# as in the authors' experiments: Tolstikhin et al. 2018, section 4 and its reference code's range.
SCALES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
PRIOR_SEED = 0  # of the mixture's centres, which belong to the prior
COMPONENT_STD = 0.5


class RegulariserConfig(BaseModel):
    """What every regulariser has: a weight against the spectral distance, reached in
    `warmup_steps` equal steps from 0 (Soenderby et al. 2016)."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)
    kind: str
    weight: NotNegative = 0.0
    warmup_steps: Annotated[int, Field(ge=0)] = 0


class KLConfig(RegulariserConfig):
    """`weight` is beta per latent number; `free_bits` in nats per latent and frame are free."""

    kind: Literal["kl"] = "kl"
    weight: NotNegative = 1e-3
    warmup_steps: Annotated[int, Field(ge=0)] = 500
    free_bits: NotNegative = 0.05


class WAEConfig(RegulariserConfig):
    """The prior has mean 0 and variance 1 per latent, whichever it is. At most `points` latent
    frames of a batch are compared, since the cost grows with their square."""

    kind: Literal["wae-mmd"] = "wae-mmd"
    weight: NotNegative = 1.0
    warmup_steps: Annotated[int, Field(ge=0)] = 500
    kernel: Literal["imq", "rbf"] = "imq"
    prior: Literal["gaussian", "uniform", "mixture"] = "gaussian"
    components: Annotated[int, Field(ge=2, le=256)] = 8  # of the mixture
    points: Annotated[int, Field(ge=2, le=8192)] = 512


class NoneConfig(RegulariserConfig):
    """No regulariser; `weight` and `warmup_steps` say nothing."""

    kind: Literal["none"] = "none"


class Regulariser:
    """Base: no penalty, no prior."""

    def __init__(self, config: Any) -> None:
        self.config = config

    def weight(self, step: int) -> float:
        """Weight of the penalty after its warm-up's share."""
        warm = min(1.0, (step + 1) / max(1, self.config.warmup_steps))
        return warm * self.config.weight

    def penalty(
        self, mean: Tensor, log_std: Tensor, z: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Penalty of a batch (each [batch, latents, frames]), and figures for the log."""
        return z.new_zeros(()), {}

    def prior(self, count: int, latents: int, generator: torch.Generator) -> Tensor | None:
        """Draws from the prior, [count, latents] in training's units; None where there is none."""
        return None


class KL(Regulariser):
    """Divergence of each frame's posterior from N(0, 1), in nats."""

    config: KLConfig

    def penalty(
        self, mean: Tensor, log_std: Tensor, z: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        each = kl_per_dimension(mean.float(), log_std.float())  # [latents]
        return kl_penalty(each, self.config.free_bits), {"kl_nats_per_frame": each.detach().sum()}

    def prior(self, count: int, latents: int, generator: torch.Generator) -> Tensor:
        return torch.randn(count, latents, generator=generator)


class WAE(Regulariser):
    """MMD between latent frames and as many draws from the prior."""

    config: WAEConfig

    def penalty(
        self, mean: Tensor, log_std: Tensor, z: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        frames = z.float().transpose(1, 2).flatten(0, 1)  # [batch * frames, latents]
        count = min(len(frames), self.config.points)
        frames = frames[torch.randperm(len(frames), device=z.device)[:count]]
        other = draw(self.config, count, z.shape[1], None).to(frames)
        with torch.autocast(z.device.type, enabled=False):  # distances are small differences
            found = mmd(frames, other, self.config.kernel)
        return found, {"mmd": found.detach()}

    def prior(self, count: int, latents: int, generator: torch.Generator) -> Tensor:
        return draw(self.config, count, latents, generator)


def draw(
    config: WAEConfig, count: int, latents: int, generator: torch.Generator | None
) -> Tensor:
    """Points of a prior, [count, latents], each latent with mean 0 and variance 1."""
    if config.prior == "uniform":
        return (2 * torch.rand(count, latents, generator=generator) - 1) * sqrt(3)
    points = torch.randn(count, latents, generator=generator)
    if config.prior == "gaussian":
        return points
    centres = _centres(config.components, latents)
    which = torch.randint(config.components, (count,), generator=generator)
    return centres[which] + COMPONENT_STD * points


def _centres(components: int, latents: int) -> Tensor:
    """Centres of the mixture, the same in every run: [components, latents]."""
    generator = torch.Generator().manual_seed(PRIOR_SEED)
    centres = torch.randn(components, latents, generator=generator)
    centres -= centres.mean(dim=0)
    return centres * (sqrt(1 - COMPONENT_STD**2) / centres.std(dim=0, correction=0))


def mmd(x: Tensor, y: Tensor, kernel: str) -> Tensor:
    """Unbiased squared maximum mean discrepancy of two sets of points [count, dimensions] of equal
    size >= 2: Gretton et al. 2012, eq. 3 in the form of Tolstikhin et al. 2018, algorithm 2.

    Kernels are averages over `SCALES` s with c = 2 * dimensions * s, and so lie in (0, 1]:
    rbf exp(-|x - y|^2 / c), inverse multiquadratic c / (c + |x - y|^2)."""
    count = len(x)
    own = _kernel(x, x, kernel) + _kernel(y, y, kernel)
    inside = (own.sum() - own.diagonal().sum()) / (count * (count - 1))
    return inside - 2 * _kernel(x, y, kernel).mean()


def _kernel(x: Tensor, y: Tensor, kernel: str) -> Tensor:
    """All pairs, [len(x), len(y)]."""
    # From inner products rather than `cdist`, whose root has no gradient where points meet.
    squared = x.square().sum(1)[:, None] + y.square().sum(1)[None] - 2 * x @ y.T
    squared = squared.clamp_min(0)
    values = []
    for scale in SCALES:
        c = 2 * x.shape[1] * scale
        values.append(torch.exp(-squared / c) if kernel == "rbf" else c / (c + squared))
    return torch.stack(values).mean(dim=0)


@dataclass(frozen=True)
class Row:
    """A regulariser and the configuration it takes."""

    config: type[RegulariserConfig]
    build: type[Regulariser]


REGULARISERS: dict[str, Row] = {
    "kl": Row(KLConfig, KL),
    "wae-mmd": Row(WAEConfig, WAE),
    "none": Row(NoneConfig, Regulariser),
}


def checked(settings: Any) -> RegulariserConfig:
    """A `[training.regulariser]` table as its configuration; an error names what is wrong."""
    if isinstance(settings, RegulariserConfig):
        return settings
    if not isinstance(settings, dict):
        raise ValueError("must be a table, for example --set regulariser.kind=kl")
    kind = settings.get("kind", "kl")
    if kind not in REGULARISERS:
        raise ConfigError(f"{TABLE}kind: unknown {kind!r}{nearest(str(kind), REGULARISERS)}")
    config = REGULARISERS[kind].config
    try:
        return config.model_validate(settings)
    except ValidationError as error:
        raise ConfigError(explain(error, config, TABLE)) from None


def build_regulariser(config: RegulariserConfig) -> Regulariser:
    """The regulariser of a configuration."""
    return REGULARISERS[config.kind].build(config)
