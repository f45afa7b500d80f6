"""A method that draws, taken apart: what training, scoring and replay need of it.

    x (conditions) -> before -> loop -> drawn -> behind -> y (sound, latents)      `Looped`
    x (with sound) -> before -> draw -> drawn -> behind -> * -> y (sound)          `Followed`

What was drawn can be taken back from y, so that every frame's distribution is known at once.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from engine.description import EFFECT, Method
from engine.errors import TudorError
from engine.layers import Embed, LogisticMixture, Loop, Parallel, Sequence, State, Streaming
from engine.layers.base import Attributes, chain_state_shapes, run_chain
from engine.layers.draw import Draw
from engine.layers.fixed import Measured, Unfold
from engine.models.base import Model


@dataclass(frozen=True)
class Looped:
    """The layers of `method`: those before its loop, the loop, and those behind."""

    method: Method
    before: tuple[Streaming, ...]
    loop: Loop
    behind: tuple[Streaming, ...]

    @classmethod
    def of(cls, model: Model, method: str) -> Looped | None:
        """None for a method without a loop."""
        layers = tuple(flat(model.layers_of(method)))
        for at, layer in enumerate(layers):
            if isinstance(layer, Loop):
                return cls(model.methods[method], layers[:at], layer, layers[at + 1 :])
        return None

    @property
    def draws(self) -> bool:
        """Whether the loop's end is a draw that has a probability."""
        return isinstance(self.loop.draw, Draw)

    @property
    def draw(self) -> Draw:
        """The loop's end, if it is one whose draws have a probability."""
        if not isinstance(self.loop.draw, Draw):
            raise TudorError(f"{self.method.name}: what {type(self.loop.draw).__name__} draws "
                             "has no probability")
        return self.loop.draw

    def drawn(self, y: Tensor) -> Tensor:
        """What the loop must have drawn for the output `y` [batch, out_channels, time]; where it
        cannot have been `y`, for the nearest to it."""
        return taken_back(self.method, self.behind, y)

    def forced(
        self, x: Tensor, y: Tensor, state: State, attributes: Attributes
    ) -> tuple[Tensor, Tensor, State]:
        """A block of the method with conditions `x` that puts out `y` [batch, out_channels, time],
        or what is nearest to it, instead of what it would draw; gates let it through. What came
        out, what would have been drawn for each frame, as output and before any gate, and the state
        of a stream that drew `y`. Nothing behind the loop has a state: see `drawn`."""
        start = len(chain_state_shapes(self.before))
        x, first = run_chain(self.before, x, state[:start], attributes)
        told = drawable(self.draw, self.drawn(y))
        drawn, inner = self.loop.forced(x, told, state[start:], attributes)
        came, said = (run_chain(self.behind, z, (), attributes)[0] for z in (told, drawn))
        return came, said, (*first, *inner)

    def given(self, x: Tensor, drawn: Tensor, attributes: Attributes) -> Tensor:
        """What the loop's net says to every frame of `drawn` [batch, channels, time], the method's
        input being `x` [batch, in_channels, frames]: from fresh state, with gradients."""
        return self.loop.teacher(self.conditions(x, attributes), drawn, attributes)

    def conditions(self, x: Tensor, attributes: Attributes) -> Tensor:
        """What the loop hears besides its own output: `x` [batch, in_channels, frames] as the
        layers before it hand it on, from fresh state."""
        state = tuple(x.new_zeros((x.shape[0], *shape))
                      for shape in chain_state_shapes(self.before))
        return run_chain(self.before, x, state, attributes)[0]


@dataclass(frozen=True)
class Followed:
    """The layers of `method`, which draws every frame of a given sound anew: those before the draw,
    the draw, those behind, and what says whether anything sounds."""

    method: Method
    before: tuple[Streaming, ...]
    draw: Draw
    behind: tuple[Streaming, ...]
    sounding: Streaming

    @classmethod
    def of(cls, model: Model, method: str) -> Followed | None:
        """None for a method of another kind."""
        chain = model.layers_of(method)  # none where a model is wrapped for a host of another rate
        if model.methods[method].role != EFFECT or not chain:
            return None
        *first, last = chain
        if not (isinstance(last, Parallel) and last.combine == "product"):
            return None
        drawn, sounding = last
        layers = (*first, *flat([drawn]))
        for at, layer in enumerate(layers):
            if isinstance(layer, Draw):
                return cls(model.methods[method], layers[:at], layer, layers[at + 1 :],
                           Sequence(*first, sounding))
        return None

    def drawn(self, y: Tensor) -> Tensor:
        """What must have been drawn for the output `y`, or for what is nearest to it."""
        return taken_back(self.method, self.behind, y)

    def given(self, x: Tensor, state: State, attributes: Attributes) -> tuple[Tensor, Tensor]:
        """What every frame of a stream that begins with `x` [batch, in_channels, frames] is drawn
        from, and whether it sounds, 0 or 1. `state`: of the method."""
        inside = len(chain_state_shapes((*self.before, self.draw, *self.behind)))
        own = state[: len(chain_state_shapes(self.before))]
        return (run_chain(self.before, x, own, attributes)[0],
                run_chain((self.sounding,), x, state[inside:], attributes)[0])


def taken_back(method: Method, behind: Iterable[Streaming], y: Tensor) -> Tensor:
    """What went into the layers `behind` for `y` to come out."""
    for layer in reversed(tuple(behind)):
        if isinstance(layer, Embed):
            y = nearest_row(layer.table, y)
        elif isinstance(layer, Measured | Unfold):
            y = layer.taken_back(y)
        else:
            raise TudorError(f"{method.name}: {type(layer).__name__} behind a draw cannot be taken "
                             "back")
    return y


def drawable(draw: Draw, y: Tensor) -> Tensor:
    """What can be drawn that is nearest to `y`."""
    if isinstance(draw, LogisticMixture):
        return y.clamp(-draw.limit, draw.limit)
    return y.round().clamp(0, draw.each - 1)


def nearest_row(table: Tensor, y: Tensor) -> Tensor:
    """Number of the row of `table` [rows, channels] that is nearest to each frame of `y` [batch,
    channels, time]: [batch, 1, time], of the kind of `y`."""
    table = table.detach().to(y.dtype)
    if table.shape[1] > 1:
        distance = (table[None, :, :, None] - y[:, None]).abs().sum(dim=2)
        return distance.argmin(dim=1, keepdim=True).to(y.dtype)
    # A column: sound has many samples, so no table of all distances.
    values, numbers = table[:, 0].sort(stable=True)
    place = torch.bucketize(y.contiguous(), (values[1:] + values[:-1]) / 2)
    return numbers[place].to(y.dtype)


def flat(layers: Iterable[Streaming]) -> list[Streaming]:
    """Layers in the order in which they run, sequences resolved."""
    found: list[Streaming] = []
    for layer in layers:
        found += flat(layer) if isinstance(layer, Sequence) else [layer]
    return found
