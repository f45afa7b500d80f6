"""Random stacks of every layer, and the properties that each must have."""

from __future__ import annotations

import torch
from hypothesis import strategies as st
from torch import Tensor

from engine.layers import (
    ELU,
    GRU,
    LSTM,
    CausalAttention,
    Conv1d,
    ConvTranspose1d,
    Delay,
    Exp,
    FilmStack,
    Fixed,
    FixedEach,
    GatedStack,
    GatedUnit,
    LayerNorm,
    LeakyReLU,
    Log,
    NoiseMultiply,
    Parallel,
    Past,
    PQMFAnalysis,
    PQMFSynthesis,
    Repeat,
    Residual,
    RMSNorm,
    Sequence,
    Shapes,
    SharedProjection,
    Sigmoid,
    Snake,
    Softplus,
    Sqrt,
    State,
    Streaming,
    Tanh,
    TransformerStack,
)
from engine.layers.pointwise import Guard

KINDS = (
    "conv", "strided", "depthwise", "transposed", "delay", "gru", "lstm", "leaky_relu", "elu",
    "tanh", "sigmoid", "exp", "log", "sqrt", "softplus", "rms_norm", "layer_norm", "attention",
    "snake", "gated", "noise", "guard", "residual", "parallel_sum", "parallel_product",
    "parallel_concat", "analysis", "synthesis", "past", "fixed", "repeat", "shared", "gated_stack",
    "film_stack", "shapes", "transformer",
)


@st.composite
def layer(draw: st.DrawFn, kind: str, channels: int, depth: int = 0) -> Streaming:
    """One layer of the given kind that takes `channels`."""
    pick = lambda *options: draw(st.sampled_from(options))  # noqa: E731
    if kind == "conv":
        kernel, dilation = pick(1, 2, 3, 5), pick(1, 2, 3)
        return Conv1d(channels, pick(1, 2, 3, 4), kernel, dilation=dilation,
                      bias=draw(st.booleans()),
                      lookahead=draw(st.integers(0, (kernel - 1) * dilation)))
    if kind == "strided":
        kernel = pick(1, 2, 3, 4, 5)
        return Conv1d(channels, pick(2, 4), kernel, stride=pick(2, 3, 4),
                      lookahead=draw(st.integers(0, kernel - 1)))
    if kind == "depthwise":
        return Conv1d(channels, channels * 2, 3, groups=channels, stride=pick(1, 2))
    if kind == "transposed":
        stride = pick(1, 2, 3, 4)
        return ConvTranspose1d(channels, channels * 2, stride + draw(st.integers(0, 5)), stride,
                               groups=pick(1, channels))
    if kind in ("delay", "past", "noise", "gru", "lstm", "gated"):
        return {
            "delay": lambda: Delay(channels, draw(st.integers(0, 5))),
            "past": lambda: Past(channels, draw(st.integers(0, 5))),
            "noise": lambda: NoiseMultiply(channels, seed=draw(st.integers(0, 99))),
            "gru": lambda: GRU(channels, pick(1, 3)),
            "lstm": lambda: LSTM(channels, pick(1, 3)),
            "gated": lambda: Sequence(Conv1d(channels, 2 * channels, 2),
                                      GatedUnit(2 * channels, pick("tanh", "linear"))),
        }[kind]()
    if kind == "fixed":
        weight = torch.randn(2, channels, pick(1, 3))
        return Sequence(Fixed(weight, torch.randn(2), pick(1, 2)),
                        FixedEach(torch.tensor([-1.0, 2.0]), torch.ones(2)))
    if kind == "repeat":
        return Repeat(channels, pick(1, 2, 3))
    if kind == "shared":
        return Sequence(Conv1d(channels, 5, 1), SharedProjection(2, 2, 1, 3))
    if kind == "gated_stack":
        stride = pick(1, 2)
        conditions = Conv1d(channels, 12, 3, stride=stride) if draw(st.booleans()) else None
        return GatedStack(Conv1d(channels, 3, 2, stride=stride), conditions, [1, 2], pick(2, 3),
                          draw(st.booleans()))
    if kind == "film_stack":
        return FilmStack(Conv1d(channels, 3, 2), Conv1d(channels, 12, pick(1, 3)), [1, 2],
                         pick(2, 3))
    if kind == "shapes":
        return Shapes(torch.randn(channels, pick(2, 3)), pick(0, 2))
    if kind in ("analysis", "synthesis"):
        bands = pick(2, 3, 4)
        if kind == "analysis":
            return PQMFAnalysis(bands, channels, taps_per_band=4)
        return Sequence(Conv1d(channels, bands * 2, 1), PQMFSynthesis(bands, 2, taps_per_band=4))
    if kind in ("exp", "log", "sqrt"):  # of numbers that they are meant for
        return {"exp": lambda: Sequence(Tanh(channels), Exp(channels)),
                "log": lambda: Sequence(Softplus(channels), Log(channels)),
                "sqrt": lambda: Sequence(Softplus(channels), Sqrt(channels))}[kind]()
    if kind == "attention":
        return Sequence(Conv1d(channels, 2 * channels, 1),
                        CausalAttention(2 * channels, pick(1, 2), draw(st.integers(2, 6))))
    if kind == "transformer":  # norms of one channel know its sign alone
        return Sequence(Conv1d(channels, 2 * channels + 2, 1), TransformerStack(
            2 * channels + 2, pick(1, 2), pick(1, 2), draw(st.integers(2, 4))))
    if kind == "layer_norm":  # of one channel nothing is left
        return Sequence(Conv1d(channels, channels + 2, 1), LayerNorm(channels + 2))
    if kind == "residual":
        kernel = pick(1, 2, 3)
        return Residual(Conv1d(channels, channels, kernel, lookahead=draw(
            st.integers(0, kernel - 1))), Snake(channels, 0.7))
    if kind.startswith("parallel"):
        stride = pick(1, 2)
        branches = [Conv1d(channels, 3, 5, stride=stride, lookahead=stride * ahead)
                    for ahead in draw(st.lists(st.integers(0, 2), min_size=1, max_size=3))]
        return Parallel(*branches, combine=kind.removeprefix("parallel_"))
    return {"leaky_relu": LeakyReLU, "elu": ELU, "tanh": Tanh, "sigmoid": Sigmoid,
            "softplus": Softplus, "rms_norm": RMSNorm,
            "snake": Snake, "guard": Guard}[kind](channels)


@st.composite
def stack(draw: st.DrawFn) -> Sequence:
    """A sequence of one to five layers, with reproducible random weights."""
    seed = draw(st.integers(0, 2**16))
    torch.manual_seed(seed)
    channels = draw(st.integers(1, 3))
    layers: list[Streaming] = []
    for kind in draw(st.lists(st.sampled_from(KINDS), min_size=1, max_size=5)):
        new = draw(layer(kind, channels))
        if new.out_channels > 12 or Sequence(*layers, new).granularity > 64:
            continue
        layers.append(new)
        channels = new.out_channels
    return Sequence(*(layers or [Conv1d(channels, 2, 3)])).eval()


def signal(net: Streaming, units: int, batch: int, dtype: torch.dtype, seed: int = 0) -> Tensor:
    """Noise of `units` smallest blocks."""
    generator = torch.Generator().manual_seed(seed)
    shape = (batch, net.in_channels, units * net.granularity)
    return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)


@torch.no_grad()
def stream(net: Streaming, x: Tensor, chunks: list[int], state: State | None = None) -> Tensor:
    """`x` in chunks of the given numbers of smallest blocks; lengths are checked on the way."""
    state = net.init_state(x.shape[0], x.dtype) if state is None else state
    outputs, at = [], 0
    for chunk in chunks:
        frames = chunk * net.granularity
        y, state = net(x[:, :, at : at + frames], state)
        expected = frames / net.ratio
        assert y.shape == (x.shape[0], net.out_channels, expected), "wrong output length"
        outputs.append(y)
        at += frames
    assert at == x.shape[2], "the chunks must cover the signal"
    return torch.cat(outputs, dim=2)


def check_streaming(net: Streaming, chunks: list[int], batch: int, dtype: torch.dtype) -> None:
    """Streamed equals offline, to a relative error that rounding explains."""
    x = signal(net, sum(chunks), batch, dtype)
    with torch.no_grad():
        offline = net.offline(x)
    streamed = stream(net, x, chunks)
    assert offline.shape == streamed.shape
    assert offline.shape[2] > 0
    scale = offline.abs().max().clamp_min(1e-3)
    error = ((offline - streamed).abs().max() / scale).item()
    assert error <= (1e-10 if dtype == torch.float64 else 1e-5), f"relative error {error:.2e}"


def check_causal(net: Streaming, units: int, cut: int) -> None:
    """What comes after a block changes nothing in the output up to it."""
    x = signal(net, units, 1, torch.float64)
    changed = x.clone()
    at = cut * net.granularity
    changed[:, :, at:] = signal(net, units - cut, 1, torch.float64, seed=1)
    with torch.no_grad():
        before, after = net.offline(x), net.offline(changed)
    out = int(at / net.ratio)
    assert before.shape[2] > out >= 0
    assert torch.equal(before[:, :, :out], after[:, :, :out]), "the future leaked in"


def check_reset(net: Streaming, units: int) -> None:
    """Fresh state gives the same output again, whatever was played in between."""
    x = signal(net, units, 1, torch.float64)
    first = stream(net, x, [units])
    stream(net, 3 * x, [units])
    assert torch.equal(first, stream(net, x, [units])), "state survived a reset"
