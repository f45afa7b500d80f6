"""Small networks as native files: together they hold every kind of operation."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import torch

from benchmarks.op_cases import FloatArray, cases, describe, method_of
from engine.description import Attribute, Description, Method
from engine.graph import Builder, Graph
from engine.layers import (
    ELU,
    GRU,
    LSTM,
    CausalAttention,
    Channels,
    Conv1d,
    ConvTranspose1d,
    Delay,
    Exp,
    GatedUnit,
    Harmonics,
    Identity,
    LatentSample,
    LayerNorm,
    LeakyReLU,
    Log,
    NoiseMultiply,
    Parallel,
    PitchTrack,
    PQMFAnalysis,
    PQMFSynthesis,
    Residual,
    RMSNorm,
    Sequence,
    Sigmoid,
    Snake,
    Softplus,
    Sqrt,
    Streaming,
    Tanh,
)
from engine.layers.pointwise import Guard
from engine.ops import KINDS
from engine.players.native_model import NativeFile
from export.native.export import compile_graphs
from tests.core import control_cases, loop_cases
from tests.core.control_cases import CONTROLLED
from tests.core.loop_cases import LOOPS


def graph_of(net: Streaming) -> Graph:
    build = Builder("forward", net.in_channels)
    return build.finish(net.lower(build, build.input))


def file_of(net: Streaming) -> bytes:
    """The net alone as a native file."""
    return compile_graphs({"forward": graph_of(net)}, describe(method_of(net)))


def latents_graph() -> tuple[Graph, Description]:
    """guard, gaussian and affine, with the attributes that they read."""
    torch.manual_seed(0)
    build = Builder("forward", 3)
    x = Guard(3).lower(build, build.input)
    x = Conv1d(3, 10, 3).lower(build, x)
    x = LatentSample(5).lower(build, x)
    x = build.op("affine", x, attributes={"scale": "scale", "bias": "bias"})
    x = build.op("slice", x, channels=3, attributes={"start": 1, "stop": 4})
    names = tuple("abc")
    attributes = {a.name: a for a in (
        Attribute("temperature", 1, 0.7, 0.0, 4.0, "noise"),
        Attribute("scale", 5, 1.5, -4.0, 4.0, "factor"),
        Attribute("bias", 5, -0.25, -8.0, 8.0, "offset"),
    )}
    method = Method("forward", 3, 1, 3, 1, names, names)
    return build.finish(x), describe(method, attributes)


def _wavenet(channels: int, layers: int = 3) -> Streaming:
    """Gated residual layers with growing dilation and a skip connection."""
    stack: list[Streaming] = [Conv1d(1, channels, 3)]
    for i in range(layers):
        stack.append(Residual(Conv1d(channels, 2 * channels, 3, dilation=2**i),
                              GatedUnit(2 * channels), Conv1d(channels, channels, 1)))
    return Sequence(*stack, Parallel(Conv1d(channels, 2, 1), Conv1d(channels, 2, 5)), Tanh(2))


def tones(channels: int) -> Streaming:
    """Harmonics of the pitch that is tracked in what they are played beside."""
    pitch = PitchTrack(12, 48000.0, 130, 64, 0.8)
    envelope = Conv1d(2, 5, 12, stride=12)
    return Sequence(Conv1d(channels, 2, 3), Parallel(
        Sequence(Channels(2, 0, 1), pitch), envelope, combine="concat"),
        Harmonics(5, 12, 48000.0, 9, (0.0, 2000.0), (-1.0, 0.9)))


ALONE = "alone_"  # what an operation's case is called that no network here holds
NETS = {
    "wide": lambda: Sequence(Conv1d(2, 96, 7), LeakyReLU(96), Residual(
        Conv1d(96, 96, 3, dilation=9), LeakyReLU(96), Conv1d(96, 96, 1)), Conv1d(96, 5, 3)),
    "strided": lambda: Sequence(Conv1d(1, 16, 33, stride=8), Conv1d(16, 130, 5, stride=2), ELU(130),
                                ConvTranspose1d(130, 20, 4, 2), Snake(20, 0.7),
                                ConvTranspose1d(20, 1, 19, 8), Tanh(1)),
    "short_kernel": lambda: Sequence(Conv1d(2, 7, 2, stride=5), Conv1d(7, 3, 1)),
    "long_history": lambda: Sequence(Conv1d(1, 8, 3, dilation=300), Tanh(8), Conv1d(8, 1, 3)),
    "grouped": lambda: Sequence(Conv1d(6, 12, 3, groups=3), Snake(12),
                                ConvTranspose1d(12, 6, 7, 3, groups=3), Conv1d(6, 6, 3, groups=6),
                                LeakyReLU(6), Conv1d(6, 70, 2), Conv1d(70, 70, 5, groups=70),
                                ELU(70)),
    "gated": lambda: _wavenet(40),
    "gated_narrow": lambda: _wavenet(3),
    "bank": lambda: Sequence(PQMFAnalysis(4, 1), Parallel(Identity(4), Sigmoid(4),
                                                          combine="concat"),
                             Conv1d(8, 8, 3), GatedUnit(8, "linear"), NoiseMultiply(4),
                             PQMFSynthesis(4, 1)),
    "odd": lambda: Sequence(Conv1d(3, 47, 3), LeakyReLU(47), Conv1d(47, 33, 2, dilation=3),
                            Residual(Conv1d(33, 50, 3), ELU(50), Conv1d(50, 33, 1)), Snake(33),
                            Conv1d(33, 33, 3, groups=3), Conv1d(33, 1, 1)),
    "tapped": lambda: Sequence(Conv1d(2, 6, 3), Parallel(NoiseMultiply(6), Conv1d(6, 6, 3)),
                               Parallel(Identity(6), Conv1d(6, 6, 1)), Conv1d(6, 6, 2)),
    "skips": lambda: Sequence(Parallel(
        Sequence(Conv1d(2, 6, 3), Tanh(6), Conv1d(6, 20, 1)),
        Sequence(Conv1d(2, 10, 2, dilation=4), GatedUnit(10), Conv1d(5, 20, 1)),
        Sequence(Conv1d(2, 7, 1), ELU(7), Conv1d(7, 20, 1)), Conv1d(2, 20, 1)),
        LeakyReLU(20), Conv1d(20, 2, 1)),
    "lstm": lambda: Sequence(LSTM(2, 16), LSTM(16, 5), Conv1d(5, 1, 1)),
    "gru": lambda: Sequence(GRU(2, 20), GRU(20, 3)),
    "branches": lambda: Sequence(Parallel(
        Sequence(Conv1d(2, 3, 3, lookahead=2), Tanh(3)), Sequence(Delay(2, 4), Conv1d(2, 3, 1)),
        combine="product"), Parallel(Conv1d(3, 4, 1), Delay(3, 2), Identity(3), combine="concat"),
        Parallel(Identity(10), Conv1d(10, 10, 3)), Snake(10, 2.0)),
    "unfused": lambda: Sequence(Parallel(Identity(6), Tanh(6)), GatedUnit(6), Parallel(
        Sigmoid(3), Identity(3)), ConvTranspose1d(3, 4, 4, 2), Parallel(Identity(4), Tanh(4))),
    "logarithms": lambda: Sequence(
        Conv1d(2, 37, 3), Softplus(37), Log(37, 0.1), Conv1d(37, 70, 1), Exp(70), Log(70),
        Conv1d(70, 18, 2, groups=2), Sqrt(18), Parallel(Softplus(18), Sqrt(18, 0.01)),
        Conv1d(18, 3, 1), Tanh(3)),
    "norms": lambda: Sequence(
        Conv1d(2, 37, 3), RMSNorm(37), LeakyReLU(37), Residual(LayerNorm(37), Conv1d(37, 37, 3)),
        LayerNorm(37, 1e-2), Conv1d(37, 16, 4, stride=2), RMSNorm(16), Channels(16, 3, 8),
        RMSNorm(5), Conv1d(5, 2, 1), LayerNorm(2)),
    "attention": lambda: Sequence(
        Conv1d(2, 24, 3), CausalAttention(24, 3, 9), LeakyReLU(24),
        Residual(CausalAttention(24, 1, 5)), Conv1d(24, 20, 4, stride=2), Delay(20, 2),
        CausalAttention(20, 4, 40), Conv1d(20, 2, 1)),
    "tones": lambda: tones(1),
    "activations": lambda: Sequence(Conv1d(1, 35, 1), Tanh(35), Sigmoid(35), ELU(35),
                                    Snake(35, 3.0), LeakyReLU(35), Guard(35)),
}
TOGETHER = (*NETS, "latents", *LOOPS, *CONTROLLED)


@cache
def net(name: str) -> Streaming:
    """A net by name with reproducible weights; biases are not zero."""
    torch.manual_seed(len(name))
    made = {**NETS, **LOOPS, **CONTROLLED}[name]().eval().requires_grad_(False)
    for parameter in made.parameters():
        if parameter.ndim == 1:
            parameter.add_(0.05 * torch.randn_like(parameter))
    return made


def graph_and_description(name: str) -> tuple[Graph, Description]:
    """A case before it becomes a file."""
    if name.startswith(ALONE):
        case = cases(name.removeprefix(ALONE), 8)[0]
        return case.graph(), case.description()
    if name == "latents":
        return latents_graph()
    of = (loop_cases.attributes_of if name in LOOPS
          else control_cases.attributes_of if name in CONTROLLED else lambda _: {})
    return graph_of(net(name)), describe(method_of(net(name)), of(net(name)))


def alone(names: tuple[str, ...]) -> tuple[str, ...]:
    """Operations that none of these cases holds, as cases of their own."""
    held = {op.kind for name in names for op in graph_and_description(name)[0].ops}
    return tuple(f"{ALONE}{kind}" for kind in KINDS if kind not in held)


NAMES = (*TOGETHER, *alone(TOGETHER))


def has_form(name: str, dtype: str) -> bool:
    """Whether a file in that number format may hold all its operations."""
    return all(dtype in KINDS[op.kind].dtypes for op in graph_and_description(name)[0].ops)


@cache
def case(name: str) -> bytes:
    """A case's file; `name:form` in another number format (native_quantised_cases)."""
    base, _, form = name.partition(":")
    graph, description = graph_and_description(base)
    if form:
        from tests.core.native_quantised_cases import compiled

        return compiled(graph, description, form)
    return compile_graphs({"forward": graph}, description)


def noise(channels: int, rows: int, batch: int = 1, seed: int = 0) -> FloatArray:
    """[batch, channels, rows]: loud, then quiet, then silence, then loud again."""
    x = np.random.default_rng(seed).standard_normal((batch, channels, rows)).astype(np.float32)
    quarter = max(1, rows // 4)
    x[:, :, quarter : 2 * quarter] *= np.float32(1e-4)
    x[:, :, 2 * quarter : 3 * quarter] = 0
    return x


def case_files(folder: Path, name: str, batch: int = 1) -> tuple[Path, Path, int]:
    """A case's file and input on disk, and its frame in samples."""
    model, x = folder / f"{name.replace(':', '-')}.tudor", folder / "in"
    model.write_bytes(case(name))
    spec = NativeFile(model).methods["forward"]
    rows = 24 * spec.frame_samples // spec.in_ratio
    x.write_bytes(noise(spec.in_channels, rows, batch).tobytes())
    return model, x, spec.frame_samples
