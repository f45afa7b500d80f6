"""The state that silence leaves behind: what a stream of a model with `start = "rest"` begins with.

    zeros in | 0 0 0 0 ... as much as the method remembers ... 0 0 | its state: the start
                                                                   | audio begins here

Zeros in every state are not silence: inside a network silence is whatever its biases make of it,
and from zeros it takes a receptive field to get there, which is heard as a click. PyTorch plays
that silence when state is made; an export plays it once and writes what is left into the file.

A stream's place in its noise is no memory: it starts at its beginning all the same. Methods that
generate, and those that read their own output, start from zeros: their silence is drawn.
"""

from __future__ import annotations

from copy import copy
from math import ceil, inf
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from engine.description import DECODE
from engine.graph import Graph
from engine.layers import State
from engine.ops import core_op

if TYPE_CHECKING:
    from engine.models.base import Model

# Recurrent layers never quite forget; what still moves after this goes on moving.
RECURRENT_SECONDS, RECURRENT_BLOCKS = 2.0, 64


def rest(model: Model, method: str) -> State | None:
    """State of one stream of `method` after silence; None where it starts from zeros."""
    x = silence(model, method)
    if x is None:
        return None
    with torch.no_grad():
        _, state = model.step(method, x, model.zero_state(method), model.default_attributes())
    drawn = model.drawn_states[method] or ()
    return tuple(torch.zeros_like(s) if counts else s.clone()
                 for s, counts in zip(state, drawn, strict=True))


def silence(model: Model, method: str) -> Tensor | None:
    """What `method` hears [1, in_channels, frames] until its state is that of silence: zeros, or to
    decode, what its own encoder makes of them. None where it starts from zeros."""
    if not model.starts_at_rest(method):
        return None
    inside = model.inside(method)
    if inside is not None:
        return silence(*inside)
    spec = model.methods[method]
    frames = _blocks(model, method) * spec.in_frames
    like = next(model.parameters())
    coder = model.coder
    if (coder is not None and spec.role == DECODE and spec.in_ratio == coder[1].in_ratio
            and spec.in_channels == coder[0].out_channels):
        x = silence(model, coder[0].name)
        if x is not None:
            with torch.no_grad():
                y, _ = model.step(coder[0].name, x, model.zero_state(coder[0].name),
                                  model.default_attributes())
            last = y[:, :, -coder[0].out_frames :]
            return last.repeat(1, 1, ceil(frames / last.shape[2]))[:, :, :frames]
    return like.new_zeros((1, spec.in_channels, frames))


def from_zeros(model: Model) -> Model:
    """The same model, the same weights, starting from zeros."""
    if model.config.start == "zero":
        return model
    found = copy(model)  # its modules are those of `model`
    found.config = model.config.model_copy(update={"start": "zero"})
    return found


def _blocks(model: Model, method: str) -> int:
    """Smallest blocks after which nothing older is remembered."""
    spec = model.methods[method]
    if not _endless(model, method):
        return ceil(spec.receptive_field_samples / spec.ratio)
    return max(RECURRENT_BLOCKS, ceil(RECURRENT_SECONDS * model.sample_rate_hz / spec.ratio))


def _endless(model: Model, method: str) -> bool:
    """Whether a method remembers without an end, or one that begins as it does: both then hear
    equally much, so that what they have in common is left with the same bits."""
    own = model.layers_of(method)
    return any(other.receptive_field_samples == inf and
               (name == method or (bool(own) and model.layers_of(name)[: len(own)] == own))
               for name, other in model.methods.items())


def drawn_states(graph: Graph) -> tuple[bool, ...] | None:
    """Which states of a method, in the order of its operations, count what was drawn; None for one
    that reads its own output."""
    if graph.loop:
        return None
    cores = ((core_op(op.kind), op.state_shapes) for op in graph.ops)
    return tuple(core is not None and core.draws for core, shapes in cores for _ in shapes)
