"""What every model offers: methods with explicit state, attributes, and a lowering of each."""

from __future__ import annotations

from fractions import Fraction
from math import ceil
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

from engine.description import Attribute, Description, Latent, Method
from engine.layers import State

if TYPE_CHECKING:
    from engine.graph import Graph


class ModelConfig(BaseModel):
    """Base of every family's configuration: immutable, unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=False)
    sample_rate_hz: int = 16000


Attributes = dict[str, Tensor]


class Model(nn.Module):
    """A set of methods over shared weights.

    Subclasses set `config`, `methods`, `attributes` and implement `state_shapes`, `step` and
    `lower`. `family` is the name in the registry."""

    family: ClassVar[str] = ""
    config: ModelConfig
    methods: dict[str, Method]
    attributes: dict[str, Attribute]
    latents: tuple[Latent, ...] = ()  # what was measured when its weights were saved

    def set_latents(self, latents: tuple[Latent, ...]) -> None:
        """Take in what was measured; families with latents name their channels after it."""
        self.latents = latents

    @property
    def sample_rate_hz(self) -> int:
        return self.config.sample_rate_hz

    @property
    def ratio(self) -> int:
        """Audio samples per smallest block, over all methods."""
        return max(method.ratio for method in self.methods.values())

    @property
    def parameter_count(self) -> int:
        return sum(p.numel() for p in self.parameters())

    def state_shapes(self, method: str) -> list[tuple[int, ...]]:
        """Shapes of a method's state tensors without the batch axis."""
        raise NotImplementedError

    def step(
        self, method: str, x: Tensor, state: State, attributes: Attributes
    ) -> tuple[Tensor, State]:
        """One block. `x`: [batch, in_channels, frames]; attributes: float tensors [size]."""
        raise NotImplementedError

    def graph(self, method: str) -> Graph:
        """The method as a flat list of operations."""
        raise NotImplementedError

    def init_state(self, method: str, batch: int = 1) -> State:
        """Fresh state of a method, in the model's precision and on its device."""
        like = next(self.parameters())
        return tuple(like.new_zeros((batch, *shape)) for shape in self.state_shapes(method))

    def default_attributes(self) -> Attributes:
        """Neutral attributes, in the model's precision and on its device."""
        like = next(self.parameters())
        return {a.name: like.new_full((a.size,), a.default) for a in self.attributes.values()}

    @torch.no_grad()
    def offline(self, method: str, x: Tensor, **attributes: Tensor) -> Tensor:
        """A whole signal at once: one block from fresh state."""
        values = {**self.default_attributes(), **attributes}
        return self.step(method, x, self.init_state(method, x.shape[0]), values)[0]

    def describe(self, name: str, provenance: dict[str, Any] | None = None) -> Description:
        """Everything a player needs to know besides weights."""
        return Description(
            name=name,
            family=self.family,
            sample_rate_hz=self.sample_rate_hz,
            methods=self.methods,
            attributes=self.attributes,
            config=self.config.model_dump(mode="json"),
            provenance=provenance or {},
            latents=self.latents,
        )


def samples(frames: Fraction | float, ratio: int = 1) -> int:
    """Frames of `ratio` samples as a whole number of samples, rounded up."""
    return ceil(frames * ratio)
