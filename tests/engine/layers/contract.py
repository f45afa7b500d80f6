"""Measures what a layer declares: by gradients, by broken numbers, by an impulse."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from math import ceil, inf, lcm

import numpy as np
import torch
from hypothesis import strategies as st
from torch import Tensor

from engine.description import Description, Method
from engine.graph import Graph, Value
from engine.layers import (
    Conv1d,
    ConvTranspose1d,
    Delay,
    Identity,
    Parallel,
    Residual,
    Sequence,
    Streaming,
)
from engine.players.native_model import NativeFile, NativeModel
from export.native.export import compile_graphs
from tests.engine.layers.stacks import signal

RECURRENT_UNITS = 6  # how far back recurrence is looked for, beyond all delays


# --- gradients ------------------------------------------------------------------------------------


def check_gradients(net: Streaming, chunks: list[int], batch: int) -> None:
    """A loss of the streamed output has the offline loss's gradients: for the input, and for every
    weight."""
    x = 0.3 * signal(net, sum(chunks), batch, torch.float64)
    whole, parts = (_gradients(net, x, cut) for cut in ([sum(chunks)], chunks))
    assert len(whole) == len(parts) > 0
    for name in whole:
        a, b = whole[name], parts[name]
        error = ((a - b).abs().max() / a.abs().max().clamp_min(1e-6)).item()
        assert error <= 1e-9, f"gradient of {name} differs by {error:.1e}"


def _gradients(net: Streaming, x: Tensor, chunks: list[int]) -> dict[str, Tensor]:
    x = x.clone().requires_grad_()
    state, outputs, at = net.init_state(x.shape[0], x.dtype), [], 0
    for chunk in chunks:
        frames = chunk * net.granularity
        y, state = net(x[:, :, at : at + frames], state)
        outputs.append(y)
        at += frames
    y = torch.cat(outputs, dim=2)
    weights = torch.linspace(-1, 1, y.numel(), dtype=y.dtype).reshape(y.shape)
    named = {"the input": x, **{k: p for k, p in net.named_parameters() if p.requires_grad}}
    found = torch.autograd.grad((y * weights).sum(), list(named.values()))
    return dict(zip(named, found, strict=True))


# --- receptive field and broken numbers -----------------------------------------------------------


def units_of(net: Streaming) -> int:
    """Smallest blocks that hold the declared field, and some more."""
    if net.receptive_field == inf:
        return RECURRENT_UNITS + ceil(net.lookahead / net.granularity)
    return ceil(net.receptive_field / net.granularity) + 3


def measured_field(net: Streaming, units: int) -> int:
    """Input frames from the first that the last smallest block's output has a gradient for."""
    seen = None
    for seed in range(3):  # where a clamp is active, a gradient may vanish by chance
        x = (0.1 * signal(net, units, 1, torch.float64, seed)).requires_grad_()
        y = net.offline(x)
        frames = int(net.granularity / net.ratio)
        torch.manual_seed(seed)
        (y[:, :, -frames:] * torch.randn(y[:, :, -frames:].shape, dtype=y.dtype)).sum().backward()
        assert x.grad is not None
        touched = x.grad.abs().sum(dim=(0, 1)) > 0
        seen = touched if seen is None else seen | touched
    assert seen is not None
    assert seen.any()
    return len(seen) - int(seen.nonzero()[0])


def check_exact_field(net: Streaming) -> None:
    """The declared receptive field is the measured one: not smaller, and not larger."""
    units, field = units_of(net), net.receptive_field
    got = measured_field(net, units)
    if field == inf:  # back to the first block; of that, a short kernel may skip some frames
        assert got > (units - 1) * net.granularity, "receptive field is not endless"
    else:
        assert got == field, f"receptive field is {got}, said to be {field}"
        assert net.granularity - net.oldest(0) == field


@torch.no_grad()
def check_padding(net: Streaming) -> None:
    """NaN older than the receptive field, or in another stream of the batch, reaches no output."""
    units = units_of(net)
    x = signal(net, units, 1, torch.float64)
    wanted = net.offline(x)
    frames = int(net.granularity / net.ratio)
    if net.receptive_field != inf:
        broken = x.clone()
        past = x.shape[2] - int(net.receptive_field)
        assert past > 0
        broken[:, :, :past] = torch.nan
        y = net.offline(broken)[:, :, -frames:]
        assert y.isfinite().all(), "NaN from older frames than the receptive field came out"
        assert torch.allclose(y, wanted[:, :, -frames:], rtol=1e-10, atol=1e-12)
    batch = torch.full_like(x, torch.nan).repeat(3, 1, 1)
    batch[1] = x[0]
    y, state = net(batch, net.init_state(3, x.dtype))
    assert y[1].isfinite().all(), "NaN of a neighbour in the batch came out"
    assert all(s[1].isfinite().all() for s in state), "NaN of a neighbour is in the state"
    # Each stream has noise of its own, so it is compared in its place.
    beside = torch.zeros_like(batch)
    beside[1] = x[0]
    wanted = net(beside, net.init_state(3, x.dtype))[0]
    assert torch.allclose(y[1], wanted[1], rtol=1e-10, atol=1e-12)


# --- delay of every value -------------------------------------------------------------------------


def _now(kernel: int, ahead: int, stride: int = 1) -> Streaming:
    """Adds up the group of `stride` frames that `ahead` declares to be now."""
    conv = Conv1d(1, 1, kernel + stride - 1, stride=stride, bias=False, lookahead=ahead)
    conv.weight.data.zero_()
    newest = conv.kernel_size - 1 - ahead
    conv.weight.data[0, 0, newest - stride + 1 : newest + 1] = 1
    return conv


def _held(kernel: int, ahead: int) -> Streaming:
    """Twice the rate, each frame held."""
    conv = ConvTranspose1d(1, 1, kernel + 1, 2, bias=False, lookahead=ahead)
    conv.weight.data.zero_()
    conv.weight.data[0, 0, ahead : ahead + 2] = 1
    return conv


@st.composite
def late_stack(draw: st.DrawFn) -> Sequence:
    """Layers that each pass an impulse on at the moment which they declare to be now."""
    layers: list[Streaming] = []
    ratio = 1
    for kind in draw(st.lists(st.sampled_from(
            ("conv", "down", "up", "delay", "residual", "product")), min_size=1, max_size=5)):
        kernel = draw(st.integers(1, 5))
        ahead = draw(st.integers(0, kernel - 1))
        if kind == "down" and ratio < 4:
            layers.append(_now(kernel, ahead, stride=2))
            ratio *= 2
        elif kind == "up" and ratio > 1:
            layers.append(_held(kernel, ahead))
            ratio //= 2
        elif kind == "residual":
            layers.append(Residual(_now(kernel, ahead)))
        elif kind == "product":
            layers.append(Parallel(_now(kernel, ahead), Identity(1), combine="product"))
        else:
            layers.append(Delay(1, ahead) if kind == "delay" else _now(kernel, ahead))
    return Sequence(*layers, _now(2, 1))


def delays_by_impulse(graph: Graph) -> Iterator[tuple[Value, Fraction, Fraction]]:
    """Each value with the delay that the graph tells and the one that an impulse has, both in
    method input frames: the native runtime plays the graph up to there."""
    block = lcm(*(op.output.ratio.numerator for op in graph.ops))
    at = 16 * block
    x = np.zeros((1, graph.input.channels, 64 * block), np.float32)
    x[:, :, at] = 1
    for index, op in enumerate(graph.ops):
        value = op.output
        part = replace(graph, output=value, ops=graph.ops[: index + 1])
        method = Method("forward", graph.input.channels, 1, value.channels,
                        int(value.ratio), ("in",) * graph.input.channels,
                        ("out",) * value.channels, granularity_samples=block)
        file = compile_graphs({"forward": part}, Description(
            "part", "test", 16000, {"forward": method}, {}))
        y = NativeModel(NativeFile.from_bytes(file), max_samples=x.shape[2]).process("forward", x)
        frames = np.flatnonzero(y[0].any(axis=0))
        assert len(frames) > 0, "nothing came out"
        # Frame n stands for input frames n * ratio - delay and the ratio - 1 after it.
        least = int(frames[0]) * value.ratio - at
        most = (int(frames[-1]) + 1) * value.ratio - 1 - at
        yield value, value.delay, min(max(value.delay, Fraction(least)), Fraction(most))
