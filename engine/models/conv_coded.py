"""What autoencoders of convolutions share: levels of residual units on the way down and up, and
what can be done to latents between an encoder's last convolution and a decoder's first one."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from engine.description import Attribute
from engine.layers import (
    Conv1d,
    ConvTranspose1d,
    Guard,
    LatentSample,
    LeakyReLU,
    Residual,
    Sequence,
    Streaming,
)
from engine.layers.noise import SEED, SEED_LIMIT
from engine.models.coded import Coded, drawn


def units(width: int, kernel_size: int, dilations: tuple[int, ...], separable: bool = False
          ) -> list[Streaming]:
    """Residual units of growing dilation at one level; `separable`: of a depthwise convolution and
    two dense 1x1."""
    found: list[Streaming] = []
    for dilation in dilations:
        groups = width if separable else 1
        wide = [Conv1d(width, width, kernel_size, dilation=dilation, groups=groups)]
        if separable:
            wide.append(Conv1d(width, width, 1))
        found.append(Residual(LeakyReLU(width), *wide, LeakyReLU(width), Conv1d(width, width, 1)))
    return found


def levels_down(widths: tuple[int, ...], strides: tuple[int, ...], *shape: Any) -> list[Streaming]:
    """From `widths[0]` channels to `widths[-1]` of so many fewer frames; `shape`: of `units`."""
    layers: list[Streaming] = []
    for level, stride in enumerate(strides):
        width, below = widths[level], widths[level + 1]
        layers += units(width, *shape)
        layers += [LeakyReLU(width), Conv1d(width, below, 2 * stride, stride=stride)]
    return layers + units(widths[-1], *shape)


def levels_up(widths: tuple[int, ...], strides: tuple[int, ...], *shape: Any) -> list[Streaming]:
    """The way back."""
    layers = units(widths[-1], *shape)
    for level in reversed(range(len(strides))):
        width, below, stride = widths[level], widths[level + 1], strides[level]
        layers += [LeakyReLU(below), ConvTranspose1d(below, width, 2 * stride, stride)]
        layers += units(width, *shape)
    return layers


class ConvCoded(Coded):
    """A family sets `encoder`, whose last layer is a convolution that says means, then log_stds, of
    latents and of controls that are taught; and `decoder`, whose first layer reads them."""

    guard_audio: Guard
    encoder: Sequence
    decoder: Sequence

    @property
    def coded_labels(self) -> tuple[str, ...]:
        """Of latents and controls."""
        return self.latent_labels

    def declared_attributes(self) -> tuple[Attribute, ...]:
        names = self.coded_labels
        return (
            Attribute("temperature", 1, 0.0, 0.0, 4.0,
                      "latent noise in forward: 0 none, 1 " + (
                          "clearly heard, more where the encoder is unsure"
                          if any(latent.widened for latent in self.latents)
                          else "as much as the encoder is unsure"),
                      ("temperature",)),
            Attribute("scale", self.coded, 1.0, -4.0, 4.0,
                      "factor on each latent before decoding", names),
            Attribute("bias", self.coded, 0.0, -8.0, 8.0,
                      "offset on each latent before decoding", names),
            Attribute(SEED, 1, 0.0, 0.0, float(SEED_LIMIT),
                      "other noise for another whole number; every stream has its own anyway",
                      ("seed",)),
        )

    # --- what training asks for -------------------------------------------------------------

    def distribution(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Posterior of a batch from fresh state: mean and log_std, each [batch, coded, frames]:
        latents first, then controls."""
        mean, log_std = self.encoder.offline(self.guard_audio(x, ())[0]).chunk(2, dim=1)
        return mean, log_std.clamp(*LatentSample.LOG_STD_RANGE)

    def reconstruct(self, z: Tensor) -> Tensor:
        return self.decoder.offline(z)

    def draws(self, z: Tensor, count: int) -> tuple[Tensor, ...]:
        """What comes before the first layer that draws is played once. Gradients reach the first
        sound alone."""
        return drawn(tuple(self.decoder), z, count)

    # --- latents that can be played ---------------------------------------------------------

    def _between(self) -> tuple[Any, Any, int]:
        """The encoder's last convolution, the decoder's first, and how many means there are."""
        last: Any = self.encoder.layers[-1]
        return last, self.decoder.layers[0], last.out_channels // 2

    @torch.no_grad()
    def rescale_latents(self, factor: Tensor) -> None:
        """Divide each latent by `factor` [latents] without changing any sound: the encoder's last
        convolution shrinks what the decoder's first one then grows. Powers of two are exact.
        Controls keep their units."""
        last, first, taught = self._between()
        count = self.latent_count
        last.weight[:count].div_(factor[:, None, None])
        last.bias[:count].div_(factor)
        last.bias[taught : taught + count].sub_(factor.abs().log())
        first.weight[:, :count].mul_(factor[None, :, None])

    @torch.no_grad()
    def widen_latents(self, by: Tensor) -> None:
        last, _, taught = self._between()
        last.bias[taught : taught + self.latent_count].add_(by)

    @torch.no_grad()
    def permute_latents(self, order: Tensor) -> None:
        """Let latent i be what latent `order[i]` was; no sound changes but for rounding."""
        last, first, taught = self._between()
        rest = torch.arange(self.latent_count, taught, device=order.device)
        all_of_them = torch.cat((order, rest))
        both = torch.cat((all_of_them, all_of_them + taught))
        last.weight.copy_(last.weight[both])
        last.bias.copy_(last.bias[both])
        first.weight[:, :taught].copy_(first.weight[:, all_of_them])

    @torch.no_grad()
    def silence_latents(self, start: int, mean: Tensor) -> None:
        """Hold every latent from `start` on at its `mean` [latents]: encode gives 0 there, and
        decode ignores it. Controls go on."""
        last, first, taught = self._between()
        count = self.latent_count
        still = slice(start, count)
        first.bias.add_((first.weight[:, still].sum(dim=2) * mean[still]).sum(dim=1))
        first.weight[:, still] = 0
        for part in (still, slice(taught + start, taught + count)):
            last.weight[part] = 0
            last.bias[part] = 0
        last.bias[taught + start : taught + count] = LatentSample.LOG_STD_RANGE[0]
