"""Models with latents: what a coder offers to training and to those who play latents by hand."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from engine.description import Description, Latent
from engine.errors import ConfigError
from engine.layers import Streaming
from engine.layers.base import Attributes, run_chain
from engine.layers.noise import SEED
from engine.models.base import Model


class Coded(Model):
    """A model that codes sound as latents, and perhaps controls behind them: channels whose meaning
    is fixed, which the encoder is taught to say and the decoder to obey.

    `coded` is the number of both together. What is measured of latents when weights are saved
    (`set_latents`) travels with the weights and in every exported file."""

    latents: tuple[Latent, ...] = ()

    @property
    @abstractmethod
    def latent_count(self) -> int:
        """Latents without the controls."""

    @property
    def controls(self) -> tuple[str, ...]:
        """Names of the last channels of encode and decode, behind the latents."""
        return ()

    @property
    def tracked(self) -> tuple[str, ...]:
        """Those of the controls, the last ones, that nothing teaches: they are measured."""
        return ()

    @property
    def coded(self) -> int:
        """Channels between encoder and decoder: latents, then controls."""
        return self.latent_count + len(self.controls)

    def set_latents(self, latents: tuple[Latent, ...]) -> None:
        """Take in what was measured of each latent and control; empty: nothing was."""
        if latents and len(latents) != self.coded:
            raise ValueError(f"{len(latents)} latents were measured, the model has {self.coded}")
        self.latents = latents
        self.changed()

    def known(self, other: Coded) -> tuple[Latent, ...]:
        """What was measured of the latents of `other`, whose weights this model takes; of controls
        that only one of them has, nothing."""
        if not other.latents or other.latent_count != self.latent_count:
            return ()
        measured = dict(zip(other.controls, other.latents[self.latent_count :], strict=True))
        return other.latents[: self.latent_count] + tuple(
            measured.get(name, Latent(0.0, 0.0, 0.0, 0.0, 0.0, True, 1.0, self.latent_count + i))
            for i, name in enumerate(self.controls))

    @property
    def latent_labels(self) -> tuple[str, ...]:
        """A label for each latent, with what it follows; those that were found to carry nothing are
        called unused."""
        said = {i: latent.follows if latent.active else "unused"
                for i, latent in enumerate(self.latents)}
        return tuple(f"latent {i + 1} ({said[i]})" if said.get(i) else f"latent {i + 1}"
                     for i in range(self.latent_count))

    def describe(self, name: str, provenance: dict[str, Any] | None = None) -> Description:
        plain = super().describe(name, provenance)
        return replace(plain, latents=self.latents, controls=self.controls)

    # --- what training asks for -------------------------------------------------------------

    @abstractmethod
    def distribution(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Posterior of a batch from fresh state: mean and log_std, each [batch, coded, frames]."""

    @abstractmethod
    def reconstruct(self, z: Tensor) -> Tensor:
        """Audio [batch, channels, time] from latents and controls [batch, coded, frames], with
        gradients."""

    def draws(self, z: Tensor, count: int) -> tuple[Tensor, ...]:
        """`reconstruct` `count` times with other noise, once for a model that makes none. Gradients
        may reach the first alone."""
        return (self.reconstruct(z),)

    def restart_noise(self) -> None:
        """Noise heads, if there are any, as they were before training."""

    @abstractmethod
    def rescale_latents(self, factor: Tensor) -> None:
        """Divide each latent by `factor` [latents], which may be negative, without changing any
        sound."""

    def widen_latents(self, by: Tensor) -> None:
        """Add `by` [latents] to their log_stds; means, and sound without noise, stay."""

    @abstractmethod
    def permute_latents(self, order: Tensor) -> None:
        """Let latent i be what latent `order[i]` was, without changing any sound."""

    @abstractmethod
    def silence_latents(self, start: int, mean: Tensor) -> None:
        """Hold every latent from `start` on at its `mean` [latents]."""


def as_coded(model: Model) -> Coded:
    """`model` as one with latents, or a clear error."""
    if not isinstance(model, Coded):
        raise ConfigError(f"family {model.family!r} has no latents; this objective needs them")
    return model


def played(layers: tuple[Streaming, ...], x: Tensor, attributes: Attributes) -> Tensor:
    """A whole signal through a part of a chain."""
    state = tuple(part for layer in layers
                  for part in layer.init_state(x.shape[0], x.dtype, x.device))
    return run_chain(layers, x, state, attributes)[0]


def drawn(layers: tuple[Streaming, ...], x: Tensor, count: int) -> tuple[Tensor, ...]:
    """Of a part of a chain, `count` sounds with other noise."""
    first = next((i for i, layer in enumerate(layers) if SEED in layer.may_use), None)
    if first is None:
        return (played(layers, x, {}),)
    shared, drawing = played(layers[:first], x, {}), layers[first:]
    made = []
    for seed in range(count):
        attributes = {SEED: torch.full((1,), float(seed), device=x.device)}
        with torch.set_grad_enabled(torch.is_grad_enabled() and not seed):
            made.append(played(drawing, shared, attributes))
    return tuple(made)
