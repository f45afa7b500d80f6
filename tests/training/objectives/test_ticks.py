"""A net, frame by frame: the same as its block, in values and gradients."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from engine.layers import (
    Channels,
    Conv1d,
    ConvTranspose1d,
    Delay,
    Embed,
    GatedUnit,
    Parallel,
    Past,
    Residual,
    Sequence,
    Streaming,
    Tanh,
)
from engine.layers.base import State, call, split_state
from engine.layers.combine import Composite
from training.objectives.ticks import stepping


class Hidden(Composite):
    """A slow part and its `Past`, put together where nobody can look into."""

    def __init__(self, channels: int) -> None:
        super().__init__(channels, channels)
        self.down = Conv1d(channels, channels, 6, stride=4)
        self.up = ConvTranspose1d(channels, channels, 4, 4)
        self.past = Past(channels, 3)

    def __iter__(self) -> Iterator[Streaming]:
        yield from (self.down, self.up, self.past)

    @property
    def granularity(self) -> int:
        return 4

    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        states = split_state(state, self)
        new: State = ()
        for layer, own in zip(self, states, strict=True):
            x, own = layer(x, own)
            new += own
        return x, new


def slow(channels: int, stride: int, inner: tuple[Streaming, ...] = ()) -> Sequence:
    return Sequence(Conv1d(channels, channels, 2 * stride, stride=stride), Tanh(channels), *inner,
                    ConvTranspose1d(channels, channels, stride, stride))


NETS = {
    "dilated": lambda: Sequence(
        *(Residual(Conv1d(3, 6, 2, dilation=2**i), GatedUnit(6), Conv1d(3, 3, 1))
          for i in range(4)), Conv1d(3, 3, 5), Delay(3, 3)),
    "grouped": lambda: Conv1d(3, 3, 3, dilation=5, groups=3),
    "slow beside fast": lambda: Sequence(
        Parallel(Sequence(slow(3, 4), Past(3, 3)), Conv1d(3, 3, 4)), Tanh(3)),
    "a longer past": lambda: Sequence(Tanh(3), slow(3, 4), Tanh(3), Past(3, 9), Tanh(3)),
    "three rates": lambda: Sequence(
        Parallel(Sequence(slow(3, 4, (slow(3, 2), Past(3, 1))), Past(3, 7)),
                 Sequence(slow(3, 2), Past(3, 1)), combine="concat"), Conv1d(6, 3, 1)),
    "past behind branches": lambda: Sequence(Parallel(slow(3, 4), slow(3, 2)), Past(3, 3)),
    "hidden": lambda: Sequence(Hidden(3), Tanh(3)),
}
WHOLE = {"hidden"}


@pytest.mark.parametrize("name", NETS)
def test_frames_of_a_net_are_its_block(name: str) -> None:
    """Two blocks of 24 frames, in values and gradients; afterwards all layers are as before."""
    torch.manual_seed(2)
    net = NETS[name]().double()
    other = copy.deepcopy(net)
    x = torch.randn(2, 3, 48, dtype=torch.float64, requires_grad=True)
    wanted, after = call(other, x, other.init_state(2), {})
    weight = torch.randn_like(wanted)
    (wanted * weight).sum().backward()
    gradient, x.grad = x.grad, None
    found, state = [], net.init_state(2)
    with stepping(net) as ticks:
        assert (ticks.block > 1) == (name in WHOLE)
        for at in (0, 24):
            ticks.begin(state)
            found += [ticks.frame(x[:, :, n : n + 1], {}) for n in range(at, at + 24)]
            state = ticks.end()
    y = torch.cat(found, dim=2)
    assert y.shape == wanted.shape == (2, 3, 48)
    assert torch.allclose(y, wanted, rtol=0, atol=1e-12)
    (y * weight).sum().backward()
    assert x.grad is not None
    assert gradient is not None
    assert gradient.abs().max() > 0.1
    assert torch.allclose(x.grad, gradient, rtol=0, atol=1e-12)
    for own, theirs in zip(net.parameters(), other.parameters(), strict=True):
        assert own.grad is not None
        assert torch.allclose(own.grad, theirs.grad, rtol=0, atol=1e-11)
    assert all(torch.allclose(a, b, rtol=0, atol=1e-12)
               for a, b in zip(state, after, strict=True))
    assert torch.equal(call(net, x, net.init_state(2), {})[0], wanted)


def test_a_number_that_looks_like_a_class_has_no_gradient_of_it() -> None:
    """Only what is fed back has: here the net has a table for a condition too."""
    net = Sequence(Parallel(Sequence(Channels(2, 0, 1), Embed(4, 3)),
                            Sequence(Channels(2, 1, 2), Embed(4, 3))))
    numbers = torch.tensor([1.0, 2.0]).reshape(2, 1, 1)
    weights = torch.full((2, 1, 4, 1), 0.25, requires_grad=True)
    with stepping(net) as ticks:
        ticks.begin(())
        ticks.fed.numbers, ticks.fed.weights = numbers, weights
        y = ticks.frame(torch.cat((numbers * 0, numbers), dim=1), {})
    (gradient,) = torch.autograd.grad(y.sum(), weights)
    fed = net.layers[0].branches[1].layers[1].table  # type: ignore[union-attr, index]
    assert torch.allclose(gradient[0, 0, :, 0], fed.sum(dim=1))
