"""One list of operations at work: what tests compare and `rtf-bench --suite ops` times.

Each case is a layer, or a few, that emits an operation of `engine.ops.KINDS`, as wide as asked:
tests take few channels, timing many. An operation without a case fails a test.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from math import lcm

import numpy as np
import torch
from numpy.typing import NDArray

from engine.description import Attribute, Description, Method
from engine.graph import Builder, Graph
from engine.layers import (
    ELU,
    GRU,
    LSTM,
    Affine,
    Categorical,
    CausalAttention,
    Channels,
    Control,
    Conv1d,
    ConvTranspose1d,
    Delay,
    Embed,
    Exp,
    Film,
    Fixed,
    FractionalDelay,
    GatedUnit,
    Guard,
    Harmonics,
    Identity,
    KeyedNoise,
    LatentSample,
    LayerNorm,
    LeakyReLU,
    Log,
    LogisticMixture,
    Loop,
    NoiseMultiply,
    Note,
    Parallel,
    PitchTrack,
    Resynth,
    RMSNorm,
    Sequence,
    Sigmoid,
    Snake,
    Softplus,
    Spectrum,
    Sqrt,
    Streaming,
    Tanh,
)

FloatArray = NDArray[np.float32]
Make = Callable[[int], Streaming]  # of a multiple of 4 channels


def _loop(c: int) -> Streaming:
    """Conditions and what was drawn a frame before."""
    net = Sequence(Conv1d(c + 1, c, 2), Tanh(c), Conv1d(c, 6, 1))
    return Loop(net, LogisticMixture(2))


CASES: dict[str, tuple[Make, ...]] = {
    "guard": (Guard,),
    "conv1d": (
        lambda c: Conv1d(c, c, 3), lambda c: Conv1d(c, 3 * c // 2, 3, dilation=2, groups=2),
        lambda c: Conv1d(c, c - 1, 5, stride=2, bias=False),
        lambda c: Conv1d(c, c - 1, 1, stride=3), lambda c: Conv1d(c, c, 1),
        lambda c: Conv1d(c, c, 3, groups=c)),
    "conv_transpose1d": (
        lambda c: ConvTranspose1d(c, c // 2, 2, 2), lambda c: ConvTranspose1d(c, c + 2, 7, 3, 2),
        lambda c: ConvTranspose1d(c, c // 2, 5, 1, bias=False)),
    "gru": (lambda c: GRU(c, c + 1),),
    "lstm": (lambda c: LSTM(c, c - 1),),
    "leaky_relu": (lambda c: LeakyReLU(c, 0.3),),
    "elu": (ELU,), "tanh": (Tanh,), "sigmoid": (Sigmoid,), "exp": (Exp,), "softplus": (Softplus,),
    "snake": (lambda c: Snake(c, 0.7),),
    "log": (lambda c: Log(c, 0.3),),
    "sqrt": (lambda c: Sqrt(c, 0.2),),
    "attention": (lambda c: CausalAttention(c, 2, 5), lambda c: CausalAttention(c, 1, 2)),
    "norm": (RMSNorm, lambda c: LayerNorm(c, 0.1)),
    "gated": (GatedUnit, lambda c: GatedUnit(c, "linear")),
    "add": (lambda c: Parallel(Tanh(c), Identity(c)),
            lambda c: Parallel(Conv1d(c, c, 2), Identity(c))),
    "mul": (lambda c: Parallel(Tanh(c), Identity(c), combine="product"),),
    "concat": (lambda c: Parallel(Tanh(c), Identity(c), combine="concat"),),
    "slice": (lambda c: Channels(c, 1, c - 1),),
    "delay": (lambda c: Delay(c, 3),),
    "affine": (Affine,),
    "noise_multiply": (lambda c: NoiseMultiply(c, seed=9),),
    "latent_sample": (lambda c: LatentSample(c // 2),),
    "keyed_noise": (lambda c: KeyedNoise(c, seed=5), lambda c: Sequence(
        Fixed(torch.tensor([[[300.0]]]), torch.tensor([500.0])), KeyedNoise(c - 1))),
    "categorical": (lambda c: Categorical(3 * c // 2, 2),),
    "logistic_mixture": (lambda c: LogisticMixture(c // 2, 2, limit=1.5),),
    "embed": (lambda c: Embed(c - 1, c // 2),),
    "control": (lambda c: Control(c, "scale", c), lambda c: Film(c, "scale", c, 3)),
    "pitch_track": (
        lambda c: PitchTrack(4 * c, 16000.0, 20 * c, 8 * c, 0.7),
        lambda c: PitchTrack(4 * c, 48000.0, 20 * c, 8 * c, 0.7),
        lambda c: Sequence(Conv1d(c, 3, 1), Channels(3, 1, 2),
                           PitchTrack(c, 16000.0, 50, 21, 0.8))),
    "harmonics": (
        lambda c: Harmonics(c, 9 * c, 16000.0, 3 * c, (100.0, 900.0), (-1.0, 1.0)),
        lambda c: Harmonics(c, 5, 8000.0, 7, (50.0, 200.0), (-0.5, 0.2))),
    "spectrum": (lambda c: Spectrum(128, 32, 1e-2),
                 lambda c: Sequence(Conv1d(c, 3, 1), Channels(3, 1, 2), Spectrum(256, 16, 1e-2))),
    "resynth": (lambda c: Resynth(128, 32), lambda c: Resynth(256, 16, seed=9)),
    "note": (lambda c: Note(c - 1), lambda c: Sequence(Conv1d(c, 3, 1), Note(2, 5))),
    "fractional_delay": (lambda c: Sequence(Conv1d(c, 2, 1), Exp(2), FractionalDelay(1, 9)),
                         lambda c: Sequence(Conv1d(c, 2, 1), Exp(2), FractionalDelay(5, 12, 3))),
    "feed": (_loop,),
}
# What they read, and the numbers that are given where an attribute has several.
ATTRIBUTES = {name: (minimum, maximum, numbers) for name, minimum, maximum, numbers in (
    ("temperature", 0.0, 4.0, (0.7,)), ("top_p", 0.0, 1.0, (0.8,)),
    ("seed", 0.0, 16777215.0, (77.0,)), ("scale", -4.0, 4.0, (0.5, -1.0, 2.0, 1.5)),
    ("bias", -8.0, 8.0, (1.0, 0.0, -2.0, 0.25)))}
METHOD = "forward"  # what the one method of a case is called


@dataclass(frozen=True)
class OpCase:
    """A case, ready to be exported and played."""

    kind: str
    layer: Streaming
    attributes: dict[str, FloatArray]
    label: str

    def graph(self) -> Graph:
        """Its operations."""
        build = Builder(METHOD, self.layer.in_channels)
        return build.finish(self.layer.lower(build, build.input))

    def description(self) -> Description:
        """A model of one method."""
        known = {name: Attribute(name, len(given), float(given[0]), *ATTRIBUTES[name][:2], "")
                 for name, given in self.attributes.items()}
        return describe(method_of(self.layer), known)

    def input(self, blocks: int, batch: int = 1) -> FloatArray:
        """Noise of so many smallest blocks, [batch, channels, time]."""
        shape = (batch, self.layer.in_channels, blocks * self.layer.granularity)
        return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def cases(kind: str, channels: int) -> list[OpCase]:
    """All of a kind; weights are reproducible, biases not zero."""
    found = []
    for make in CASES[kind]:
        with torch.random.fork_rng([]):
            torch.manual_seed(1)
            layer = make(channels).eval().requires_grad_(False)
            for parameter in layer.parameters():
                parameter.add_(0.1 * torch.randn_like(parameter))
        label = f"{type(layer).__name__} {layer.in_channels} > {layer.out_channels}"
        found.append(OpCase(kind, layer, _given(layer), label))
    return found


def between_convolutions(case: OpCase, beside: bool = False) -> OpCase:
    """The same with a convolution before and after, whose rows are int16 in a q16x8 file.
    `beside`: and one that reads and writes the same rows, so that they are int16 for others too."""
    with torch.random.fork_rng([]):
        torch.manual_seed(2)
        given, made = case.layer.in_channels, case.layer.out_channels
        inner = Parallel(case.layer, _convolution(case.layer)) if beside else case.layer
        net = Sequence(Conv1d(given, given, 1), inner, Conv1d(made, made, 1))
    return OpCase(case.kind, net.eval().requires_grad_(False), case.attributes, case.label)


def _convolution(like: Streaming) -> Streaming:
    """The shortest one of the same channels and rates."""
    up, down = like.ratio.denominator, like.ratio.numerator
    if up > 1:
        return ConvTranspose1d(like.in_channels, like.out_channels, up, up)
    return Conv1d(like.in_channels, like.out_channels, down, stride=down)


def _given(layer: Streaming) -> dict[str, FloatArray]:
    """Numbers for all attributes that a layer reads."""
    sizes = {name: layer.out_channels if len(ATTRIBUTES[name][2]) > 1 else 1
             for name in (*layer.uses, *layer.may_use)}
    return {name: np.resize(np.array(ATTRIBUTES[name][2], np.float32), size)
            for name, size in sizes.items()}


def method_of(net: Streaming) -> Method:
    """A `forward` over a bare layer: rates chosen so that all ratios are whole."""
    ratio = Fraction(net.ratio)
    inputs = tuple(f"in {i}" for i in range(net.in_channels))
    outputs = tuple(f"out {i}" for i in range(net.out_channels))
    return Method(METHOD, net.in_channels, ratio.denominator, net.out_channels,
                  ratio.numerator, inputs, outputs,
                  granularity_samples=lcm(1, net.granularity * ratio.denominator))


def describe(method: Method, attributes: dict[str, Attribute] | None = None) -> Description:
    """A model of that method alone."""
    return Description("case", "test", 48000, {METHOD: method}, attributes or {})
