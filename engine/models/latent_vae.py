"""A second autoencoder, on the latents of a first (document 003, section 4): one point, or a row
of points, says which loop it is.

    conditions with a code -> features -> plan -> mean, log_std -> drawn -> a chunk of latents

`temperature` 0 gives the mean: rhythm without texture. What the mean leaves out a `latent_flow`
draws.
"""

from __future__ import annotations

from typing import ClassVar

from engine.layers import LatentSample, Sequence
from engine.models.base import Model
from engine.models.chain import Link
from engine.models.loops import LoopModel
from engine.models.loops_config import LoopConfig


class LatentVAEConfig(LoopConfig):
    """Shape of a second autoencoder."""


class LatentVAE(LoopModel):
    """Methods: `generate`; with a coder `play`, `decode` and, unless told otherwise, `embed`."""

    family: ClassVar[str] = "latent_vae"
    config: LatentVAEConfig

    def __init__(self, config: LatentVAEConfig, codec: Model | None = None) -> None:
        super().__init__(config, codec)
        self.planned_chunk = Sequence(self.features, self.plan, self.spelt_out)

    def making(self) -> tuple[Link, ...]:
        size = self.config.chunk * self.config.latents
        return ("plan", self.planned_chunk), LatentSample(size)
