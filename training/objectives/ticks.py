"""The net of a loop, frame by frame and with gradients: what drawing by itself needs in training.

A layer is a function of a block; here a block is one frame. Layers stay what they are, whatever
they are made of; three kinds of them are stepped in another way while `stepping` lasts:

    dilated convolutions, delays   keep what has come as a list of frames, so that no long cache is
                                   copied, or held for its gradient, at every frame
    a sequence with a slow part    runs it when the last frame of its block has arrived; until then
                                   the `Past` behind it holds all that is read
    tables of classes              hand on the gradient of which class was drawn

    fast frames     | 0  1  2  3 | 4  5  6  7 |      a part of stride 4, a Past of 3 frames
    slow part runs           ^            ^
    what is read    | .  .  .  A | A  A  A  B |      A: made of 0 ... 3, B: of 4 ... 7

A net in which what is slow cannot be told apart is run whole for every frame of its block, as
`Loop` does. Frames equal the block, in values and gradients, which a test holds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from engine.layers import Conv1d, Embed, Sequence, Streaming
from engine.layers.base import (
    Attributes,
    State,
    call,
    chain_granularity,
    chain_ratio,
    chain_state_shapes,
    run_chain,
)
from engine.layers.combine import Composite
from engine.layers.conv import Delay
from engine.models.looped import flat


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


def _convolved(layer: Conv1d) -> Forward:
    lags = range((layer.kernel_size - 1) * layer.dilation, 0, -layer.dilation)

    def forward(x: Tensor, state: State) -> tuple[Tensor, State]:
        history = _history(state)
        taps = torch.cat((*(history.ago(lag) for lag in lags), x), dim=2)
        history.since.append(x)
        return F.conv1d(taps, layer.weight, layer.bias, groups=layer.groups), (history,)  # type: ignore[return-value]

    return forward


def _delayed(layer: Delay) -> Forward:
    def forward(x: Tensor, state: State) -> tuple[Tensor, State]:
        history = _history(state)
        y = history.ago(layer.frames)
        history.since.append(x)
        return y, (history,)  # type: ignore[return-value]

    return forward


def _row(layer: Embed, fed: Fed) -> Forward:
    plain = layer.forward

    def forward(x: Tensor, state: State) -> tuple[Tensor, State]:
        y, state = plain(x, state)
        numbers, weights = fed.numbers, fed.weights
        if (numbers is None or weights is None or weights.shape[2] != layer.rows
                or not torch.equal(x, numbers)):
            return y, state
        return y + through(weights, layer.table), state

    return forward


@dataclass(frozen=True)
class _Part:
    """Neighbours in a sequence: one layer, or a slow part whose last layer is its `Past`."""

    layers: tuple[Streaming, ...]
    slow: bool

    @property
    def count(self) -> int:
        return len(chain_state_shapes(self.layers))

    def frame(
        self, x: Tensor, state: State, attributes: Attributes | None
    ) -> tuple[Tensor, State]:
        if not self.slow:
            return call(self.layers[0], x, state, attributes)
        last: Any = state[-1]
        waiting = _Waiting(last) if isinstance(last, Tensor) else last
        at, inner = len(waiting.frames), state[:-1]
        waiting.frames.append(x)
        if at + 1 < chain_granularity(self.layers[:-1]):
            return waiting.past[:, :, at : at + 1], (*inner, waiting)  # type: ignore[arg-type]
        y, inner = run_chain(self.layers[:-1], torch.cat(waiting.frames, dim=2), inner, attributes)
        known = torch.cat((waiting.past, y), dim=2)
        return known[:, :, at : at + 1], (*inner, known[:, :, -waiting.past.shape[2] :])


def _in_parts(parts: list[_Part]) -> Forward:
    counts = [part.count for part in parts]

    def forward(
        x: Tensor, state: State, attributes: Attributes | None = None
    ) -> tuple[Tensor, State]:
        new: State = ()
        for part, count in zip(parts, counts, strict=True):
            x, own = part.frame(x, state[:count], attributes)
            new, state = new + own, state[count:]
        return x, new

    return forward


# --- which layers are ----------------------------------------------------------------------------


class _UnclearError(Exception):
    """A slow part has no `Past` of its own behind it."""


Steps = dict[Streaming, Forward]


def _steps(layer: Streaming, fed: Fed) -> Steps:
    """What takes the place of whose `forward`, within `layer`."""
    if isinstance(layer, Sequence):
        parts = _parts(flat(layer), fed)
        found = [step for part in parts if not part.slow
                 for step in _steps(part.layers[0], fed).items()]
        own: Steps = {layer: _in_parts(parts)} if any(part.slow for part in parts) else {}
        return {**dict(found), **own}
    if layer.ratio != 1 or (layer.granularity > 1 and not isinstance(layer, Composite)):
        raise _UnclearError
    if isinstance(layer, Composite):
        return {at: step for inner in layer for at, step in _steps(inner, fed).items()}
    if isinstance(layer, Conv1d) and layer.dilation > 1 and layer.cache_frames:
        return {layer: _convolved(layer)}
    if isinstance(layer, Delay) and layer.frames:
        return {layer: _delayed(layer)}
    return {layer: _row(layer, fed)} if isinstance(layer, Embed) else {}


def _parts(layers: list[Streaming], fed: Fed) -> list[_Part]:
    found: list[_Part] = []
    while layers:
        try:
            _steps(layers[0], fed)
            found.append(_Part((layers[0],), slow=False))
        except _UnclearError:
            found.append(_Part(_until_past(layers), slow=True))
        layers = layers[len(found[-1].layers) :]
    return found


def _until_past(layers: list[Streaming]) -> tuple[Streaming, ...]:
    """The slow part that they begin with, and the delay that it needs."""
    for count in range(1, len(layers)):
        part, past = layers[:count], layers[count]
        if (chain_ratio(part) == 1 and isinstance(past, Delay)
                and past.frames >= chain_granularity(part) - 1):
            return tuple(layers[: count + 1])
    raise _UnclearError


# --- the net -------------------------------------------------------------------------------------


class Ticks:
    """A net within `stepping`: `begin` with the state of a block's start, a frame for a frame,
    `end` at a block's end."""

    def __init__(self, net: Streaming, fed: Fed, whole: bool) -> None:
        self.net, self.fed = net, fed
        self.block = net.granularity if whole else 1
        self.state: State = ()
        self.known: list[Tensor] = []  # of a block that is run whole

    def begin(self, state: State) -> None:
        self.state, self.known = state, []
        self.fed.numbers = self.fed.weights = None

    def frame(self, x: Tensor, attributes: Attributes) -> Tensor:
        """`x`: [batch, channels, 1]."""
        if self.block == 1:
            y, self.state = call(self.net, x, self.state, attributes)
            return y
        at = len(self.known)
        self.known.append(x)
        unknown = [torch.zeros_like(x)] * (self.block - at - 1)
        y, after = call(self.net, torch.cat((*self.known, *unknown), dim=2), self.state, attributes)
        if not unknown:
            self.state, self.known = after, []
        return y[:, :, at : at + 1]

    def end(self) -> State:
        assert not self.known, "a state is asked for within a block"
        held: tuple[Any, ...] = self.state
        return tuple(s if isinstance(s, Tensor) else s.tensor() for s in held)


@contextmanager
def stepping(net: Streaming) -> Iterator[Ticks]:
    """The net of a loop, frame by frame. Its layers take single frames meanwhile."""
    fed = Fed()
    try:
        steps = _steps(net, fed)
    except _UnclearError:
        yield Ticks(net, fed, whole=True)
        return
    try:
        for layer, forward in steps.items():
            layer.forward = forward  # type: ignore[method-assign]
        yield Ticks(net, fed, whole=False)
    finally:
        for layer in steps:
            layer.__dict__.pop("forward", None)
