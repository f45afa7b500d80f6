"""A model at a host's sample rate, a whole multiple of its own: resampled inside.

    host -- low-pass, every R-th sample --> model -- R - 1 zeros between samples, low-pass --> host

Both filters are layers like any other (a Conv1d of stride R, a ConvTranspose1d), so everything
else follows: streaming, latency, verification. A multiple that is no power of two gives frames that
the buffers of nn~, powers of two, cannot hold whole: there `Queued` says what the file plays, which
keeps a queue before and behind the model.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn

from engine.description import Attribute, Description, Method
from engine.errors import ConfigError
from engine.layers import Conv1d, ConvTranspose1d, Guard, Streaming
from engine.models.base import Model
from engine.models.chain import Chain

MOST = 8  # the largest multiple
SIDE = 25  # low-rate samples on either side of the filters' middle: -80 dB from 1.1 x Nyquist on
BETA = 7.86  # of Kaiser's window, for 80 dB


def at_host_rate(model: Model, host_rate_hz: int) -> Model:
    """`model` as it plays in a host of this rate; itself where that is its own."""
    own = model.sample_rate_hz
    factor, rest = divmod(host_rate_hz, own)
    if rest or not 1 <= factor <= MOST:
        fitting = ", ".join(str(own * n) for n in (2, 3, 4))
        raise ConfigError(f"--host-rate {host_rate_hz}: the model plays at {own} Hz, and a host's "
                          f"rate must be a whole multiple of that: {fitting} ... {own * MOST}")
    if factor == 1:
        return model
    resampled = Resampled(model, factor).eval()
    return Queued(resampled).eval() if factor & (factor - 1) else resampled


class Resampled(Model):
    """The chains of a model between filters that change the rate."""

    def __init__(self, inner: Model, factor: int) -> None:
        super().__init__()
        self.family = inner.family  # type: ignore[misc]
        self.config, self.inner, self.factor = inner.config, inner, factor
        self.down, self.up = nn.ModuleDict(), nn.ModuleDict()
        for method in inner.methods.values():
            if method.in_ratio == 1:
                self.down[_key(method.name)] = _down(method.in_channels, factor)
            if method.out_ratio == 1:
                self.up[_key(method.name)] = _up(method.out_channels, factor)
        self.guards = nn.ModuleDict({
            _key(method.name): Guard(method.in_channels) for method in inner.methods.values()})
        self.to(next(inner.parameters()).dtype)

    @property
    def sample_rate_hz(self) -> int:
        return self.inner.sample_rate_hz * self.factor

    def declared_attributes(self) -> tuple[Attribute, ...]:
        return self.inner.declared_attributes()

    def chains(self) -> dict[str, Chain]:
        made = {}
        for name, chain in self.inner.chains().items():
            names, layers = chain.names, chain.layers
            if _key(name) in self.down:  # cleaned first: a NaN would ring in the filter
                names = ("", "down", *names)
                layers = (_layer(self.guards, name), _layer(self.down, name), *layers)
            if _key(name) in self.up:
                names, layers = (*names, "up"), (*layers, _layer(self.up, name))
            ratio = chain.in_ratio if _key(name) in self.down else chain.in_ratio * self.factor
            made[name] = replace(chain, names=names, layers=layers, in_ratio=ratio)
        return made


class Queued(Model):
    """What a file plays whose frames do not fit nn~'s buffers: the methods that take and give
    audio, later by what must wait until a frame is whole.

    Of a frame of U samples a buffer (a power of two, not below `unit`, the power of two in U)
    leaves at most U - unit over; the queue behind the model begins with as many zeros."""

    def __init__(self, inner: Resampled) -> None:
        super().__init__()
        self.family = inner.family  # type: ignore[misc]
        self.config, self.inner = inner.config, inner
        self.frame = max(m.ratio for m in inner.methods.values())
        self.unit = self.frame & -self.frame
        self.queue = self.frame - self.unit

    @property
    def sample_rate_hz(self) -> int:
        return self.inner.sample_rate_hz

    def declared_attributes(self) -> tuple[Attribute, ...]:
        return self.inner.declared_attributes()

    def layers_of(self, method: str) -> tuple[Streaming, ...]:
        return ()

    @property
    def methods(self) -> dict[str, Method]:  # type: ignore[override]
        return {
            name: replace(method, granularity_samples=self.unit,
                          lookahead_samples=method.lookahead_samples + self.queue,
                          receptive_field_samples=method.receptive_field_samples + self.queue)
            for name, method in self.inner.methods.items()
            if (method.in_ratio, method.out_ratio) == (1, 1)
        }

    @torch.no_grad()
    def offline(self, method: str, x: Tensor, **attributes: Tensor) -> Tensor:
        time = x.shape[2]
        y = self.inner.offline(method, nn.functional.pad(x, (0, -time % self.frame)), **attributes)
        return nn.functional.pad(y, (self.queue, 0))[:, :, :time]


def file_rate(description: Description, model: Model) -> Model:
    """`model` as a file with this description plays it."""
    if description.sample_rate_hz == model.sample_rate_hz:
        return model
    return at_host_rate(model, description.sample_rate_hz)


def original(model: Model) -> Model:
    """The model at its own rate: whose weights and configuration the file holds."""
    while isinstance(model, (Resampled, Queued)):
        model = model.inner
    return model


def _layer(layers: nn.ModuleDict, name: str) -> Streaming:
    return cast(Streaming, layers[_key(name)])


def _key(method: str) -> str:
    """A name that no method of PyTorch's modules has."""
    return f"method_{method}"


def _low_pass(factor: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """A windowed sinc with its middle at SIDE * factor; its sum is 1."""
    side = SIDE * factor
    taps = np.sinc(np.arange(-side, side + 1) / factor) * np.kaiser(2 * side + 1, BETA)
    return cast(np.ndarray[Any, np.dtype[np.float64]], taps / taps.sum())


@torch.no_grad()
def _down(channels: int, factor: int) -> Conv1d:
    taps = torch.from_numpy(_low_pass(factor))
    # The window of an output ends with the last of its group: factor - 1 samples after the first.
    layer = Conv1d(channels, channels, len(taps), stride=factor, bias=False,
                   lookahead=SIDE * factor - (factor - 1))
    layer.weight.zero_()
    for channel in range(channels):
        layer.weight[channel, channel] = taps
    return layer


@torch.no_grad()
def _up(channels: int, factor: int) -> ConvTranspose1d:
    taps = torch.from_numpy(_low_pass(factor)) * factor
    kernel = -(-len(taps) // factor) * factor  # whole frames: a matrix product in nn~
    layer = ConvTranspose1d(channels, channels, kernel, factor, bias=False,
                            lookahead=SIDE * factor)
    layer.weight.zero_()
    for channel in range(channels):
        layer.weight[channel, channel, : len(taps)] = taps
    return layer
