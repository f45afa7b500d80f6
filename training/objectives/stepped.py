"""How layers take single frames, for `ticks.py`, which says why. What stands here replaces the
`forward` of a layer for a while; what it computes is the layer's own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from engine.layers import Conv1d, Embed, Streaming
from engine.layers.base import (
    Attributes,
    State,
    chain_granularity,
    chain_state_shapes,
    run_chain,
)
from engine.layers.conv import Delay


@dataclass
class Fed:
    """What was drawn last from classes, by a draw of one channel: their numbers [batch, 1, 1], and
    weights with gradients [batch, 1, classes, 1]; nothing at first."""

    numbers: Tensor | None = None
    weights: Tensor | None = None


def through(weights: Tensor, table: Tensor) -> Tensor:
    """Zeros [batch, columns, time] whose gradient is that of `weights` [batch, 1, classes, time]
    times rows of `table` [classes, columns]."""
    change = (weights - weights.detach()).squeeze(1)
    return torch.einsum("bkt,kc->bct", change, table.detach())


# --- what is remembered in place of a tensor -----------------------------------------------------


@dataclass
class _History:
    """Input of a layer: its cache, and frames since."""

    before: Tensor
    since: list[Tensor] = field(default_factory=list)

    def ago(self, frames: int) -> Tensor:
        """That of so many frames before the one to come, at least 1."""
        if frames <= len(self.since):
            return self.since[-frames]
        at = self.before.shape[2] + len(self.since) - frames
        return self.before[:, :, at : at + 1]

    def tensor(self) -> Tensor:
        return torch.cat((self.before, *self.since), dim=2)[:, :, -self.before.shape[2] :]


@dataclass
class _Waiting:
    """What a `Past` holds, and the frames of a block that is not complete."""

    past: Tensor
    frames: list[Tensor] = field(default_factory=list)

    def tensor(self) -> Tensor:
        assert not self.frames, "a state is asked for within a block"
        return self.past


# Between frames `State` holds these where a stepped layer has put them: layers made of layers hand
# on what they do not look into.
def _history(state: State) -> _History:
    first: Any = state[0]
    return _History(first) if isinstance(first, Tensor) else first


# --- how layers are stepped ----------------------------------------------------------------------

Forward = Callable[..., tuple[Tensor, State]]


def convolved(layer: Conv1d) -> Forward:
    lags = range((layer.kernel_size - 1) * layer.dilation, 0, -layer.dilation)
    weight = layer.weight.flatten(1) if layer.groups == 1 else None

    def at_taps(taps: Tensor) -> Tensor:
        if weight is None:
            return F.conv1d(taps, layer.weight, layer.bias, groups=layer.groups)
        return F.linear(taps.flatten(1), weight, layer.bias).unsqueeze(2)  # one frame: far quicker

    def spread(x: Tensor, state: State) -> tuple[Tensor, State]:
        history = _history(state)
        taps = torch.cat((*(history.ago(lag) for lag in lags), x), dim=2)
        history.since.append(x)
        return at_taps(taps), (history,)  # type: ignore[return-value]

    def dense(x: Tensor, state: State) -> tuple[Tensor, State]:
        if not lags:
            return at_taps(x), state
        taps = torch.cat((state[0], x), dim=2)
        return at_taps(taps), (taps[:, :, 1:],)

    return spread if layer.dilation > 1 and lags else dense


def delayed(layer: Delay) -> Forward:
    def forward(x: Tensor, state: State) -> tuple[Tensor, State]:
        history = _history(state)
        y = history.ago(layer.frames)
        history.since.append(x)
        return y, (history,)  # type: ignore[return-value]

    return forward


def row(layer: Embed, fed: Fed) -> Forward:
    plain = layer.forward

    def forward(x: Tensor, state: State) -> tuple[Tensor, State]:
        y, state = plain(x, state)
        numbers, weights = fed.numbers, fed.weights
        if (numbers is None or weights is None or weights.shape[2] != layer.rows
                or not torch.equal(x, numbers)):
            return y, state
        return y + through(weights, layer.table), state

    return forward


class Part:
    """Neighbours in a sequence: one layer, or a slow part whose last layer is its `Past`. What is
    the same for every frame is worked out once."""

    def __init__(self, layers: tuple[Streaming, ...], slow: bool = False) -> None:
        self.layers, self.slow = layers, slow
        self.count = len(chain_state_shapes(layers))
        self.block = chain_granularity(layers[:-1]) if slow else 1
        self.takes = bool(layers[0].uses or layers[0].may_use)

    def frame(
        self, x: Tensor, state: State, attributes: Attributes | None
    ) -> tuple[Tensor, State]:
        if self.slow:
            return self._waiting(x, state, attributes)
        if self.takes:
            return self.layers[0](x, state, attributes or {})
        return self.layers[0](x, state)

    def _waiting(
        self, x: Tensor, state: State, attributes: Attributes | None
    ) -> tuple[Tensor, State]:
        last: Any = state[-1]
        waiting = _Waiting(last) if isinstance(last, Tensor) else last
        at, inner = len(waiting.frames), state[:-1]
        waiting.frames.append(x)
        if at + 1 < self.block:
            return waiting.past[:, :, at : at + 1], (*inner, waiting)  # type: ignore[arg-type]
        y, inner = run_chain(self.layers[:-1], torch.cat(waiting.frames, dim=2), inner, attributes)
        known = torch.cat((waiting.past, y), dim=2)
        return known[:, :, at : at + 1], (*inner, known[:, :, -waiting.past.shape[2] :])


def in_parts(parts: list[Part]) -> Forward:
    """Of a sequence."""
    def forward(
        x: Tensor, state: State, attributes: Attributes | None = None
    ) -> tuple[Tensor, State]:
        new: State = ()
        for part in parts:
            x, own = part.frame(x, state[: part.count], attributes)
            new, state = new + own, state[part.count :]
        return x, new

    return forward


def beside(branches: list[Part], combine: str) -> Forward:
    """Of layers in parallel."""
    def forward(
        x: Tensor, state: State, attributes: Attributes | None = None
    ) -> tuple[Tensor, State]:
        new: State = ()
        outputs = []
        for part in branches:
            y, own = part.frame(x, state[: part.count], attributes)
            outputs.append(y)
            new, state = new + own, state[part.count :]
        if combine == "concat":
            return torch.cat(outputs, dim=1), new
        total = outputs[0]
        for y in outputs[1:]:
            total = total + y if combine == "sum" else total * y
        return total, new

    return forward
