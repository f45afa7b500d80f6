"""The net of a loop, frame by frame and with gradients: what drawing by itself needs in training.

A layer is a function of a block; here a block is one frame. Layers stay what they are, whatever
they are made of; three kinds of them are stepped in another way while `stepping` lasts:

    dilated convolutions, delays   keep what has come as a list of frames, so that no long cache is
                                   copied, or held for its gradient, at every frame
    slow parts of a sequence       are run when the last frame of their block has arrived; until
                                   then the `Past` behind them holds all that is read
    tables of classes              hand on the gradient of which class was drawn

    fast frames     | 0  1  2  3 | 4  5  6  7 |      a part of stride 4, a Past of 3 frames
    slow part runs           ^            ^
    what is read    | .  .  .  A | A  A  A  B |      A: made of 0 ... 3, B: of 4 ... 7

A net in which what is slow cannot be told apart is run whole for every frame of its block, as
`Loop` does. Frames equal the block, in values and gradients, which a test holds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from engine.layers import Conv1d, Embed, Parallel, Sequence, Streaming
from engine.layers.base import Attributes, State, chain_granularity, chain_ratio
from engine.layers.combine import Composite
from engine.layers.conv import Delay
from engine.models.looped import flat
from training.objectives.stepped import (
    Fed,
    Forward,
    Part,
    beside,
    convolved,
    delayed,
    in_parts,
    row,
)

# --- which layers are ----------------------------------------------------------------------------


class _UnclearError(Exception):
    """A slow part has no `Past` of its own behind it."""


Steps = dict[Streaming, Forward]


def _steps(layer: Streaming, fed: Fed) -> Steps:
    """What takes the place of whose `forward`, within `layer`."""
    if isinstance(layer, Sequence):
        parts = _parts(flat(layer), fed)
        return {**_within((part.layers[0] for part in parts if not part.slow), fed),
                layer: in_parts(parts)}
    if layer.ratio != 1 or (layer.granularity > 1 and not isinstance(layer, Composite)):
        raise _UnclearError
    if isinstance(layer, Composite):
        found = _within(layer, fed)
        if isinstance(layer, Parallel):
            found[layer] = beside([Part((branch,)) for branch in layer], layer.combine)
        return found
    if isinstance(layer, Conv1d):
        return {layer: convolved(layer)}
    if isinstance(layer, Delay) and layer.frames:
        return {layer: delayed(layer)}
    return {layer: row(layer, fed)} if isinstance(layer, Embed) else {}


def _within(layers: Iterable[Streaming], fed: Fed) -> Steps:
    return {at: step for layer in layers for at, step in _steps(layer, fed).items()}


def _parts(layers: list[Streaming], fed: Fed) -> list[Part]:
    found: list[Part] = []
    while layers:
        try:
            _steps(layers[0], fed)
            found.append(Part((layers[0],)))
        except _UnclearError:
            found.append(Part(_until_past(layers), slow=True))
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
        self.net, self.fed = Part((net,)), fed
        self.block = net.granularity if whole else 1
        self.state: State = ()
        self.known: list[Tensor] = []  # of a block that is run whole

    def begin(self, state: State) -> None:
        self.state, self.known = state, []
        self.fed.numbers = self.fed.weights = None

    def frame(self, x: Tensor, attributes: Attributes) -> Tensor:
        """`x`: [batch, channels, 1]."""
        if self.block == 1:
            y, self.state = self.net.frame(x, self.state, attributes)
            return y
        at = len(self.known)
        self.known.append(x)
        unknown = [torch.zeros_like(x)] * (self.block - at - 1)
        block = torch.cat((*self.known, *unknown), dim=2)
        y, after = self.net.frame(block, self.state, attributes)
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
