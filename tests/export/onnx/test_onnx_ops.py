"""Each operation of the graph, and random stacks of layers, in ONNX Runtime and in PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import torch
from hypothesis import given, settings
from torch import Tensor

from engine.description import Attribute, Description, Method
from engine.graph import Builder, Graph, Value
from engine.layers import (
    ELU,
    GRU,
    LSTM,
    Categorical,
    CausalAttention,
    Conv1d,
    ConvTranspose1d,
    Delay,
    Embed,
    Exp,
    GatedUnit,
    Guard,
    Identity,
    LatentSample,
    LayerNorm,
    LeakyReLU,
    Log,
    LogisticMixture,
    NoiseMultiply,
    Parallel,
    RMSNorm,
    Sequence,
    Sigmoid,
    Snake,
    Softplus,
    Sqrt,
    State,
    Streaming,
    Tanh,
)
from engine.layers.base import call
from engine.ops import KINDS
from export.onnx.export import build_method, granularity
from export.onnx.operators import EMIT, IN_LOOPS
from tests.core.loop_cases import ATTRIBUTES as DRAWN
from tests.core.loop_cases import LOOPS, attributes_of, values_of
from tests.core.native_cases import net as case_net
from tests.engine.layers.stacks import signal, stack

TOLERANCE = 1e-5
ATTRIBUTES = {
    "temperature": Attribute("temperature", 1, 0.0, 0.0, 4.0, ""),
    "scale": Attribute("scale", 4, 1.0, -4.0, 4.0, ""),
    "bias": Attribute("bias", 4, 0.0, -8.0, 8.0, ""),
    **DRAWN,
    "share": Attribute("share", 1, 1.0, 0.0, 1.0, ""),
}
Step = Callable[[Tensor, State], tuple[Tensor, State]]


def _randomised(layer: Streaming) -> Streaming:
    torch.manual_seed(1)
    with torch.no_grad():
        for p in layer.parameters():
            p.add_(0.3 * torch.randn(p.shape))
    return layer.eval()


LAYERS: dict[str, list[Streaming]] = {
    "guard": [Guard(4)],
    "conv1d": [Conv1d(4, 6, 3, dilation=2, groups=2), Conv1d(4, 3, 5, stride=2, bias=False),
               Conv1d(4, 3, 1, stride=3), Conv1d(4, 4, 1)],
    "conv_transpose1d": [ConvTranspose1d(4, 6, 7, 3, groups=2), ConvTranspose1d(4, 2, 2, 2),
                         ConvTranspose1d(4, 2, 5, 1, bias=False)],
    "gru": [GRU(4, 5)],
    "lstm": [LSTM(4, 3)],
    "leaky_relu": [LeakyReLU(4, 0.3)],
    "elu": [ELU(4)],
    "tanh": [Tanh(4)],
    "sigmoid": [Sigmoid(4)],
    "snake": [Snake(4, 0.7)],
    "exp": [Exp(4)],
    "log": [Log(4, 0.3)],
    "sqrt": [Sqrt(4, 0.2)],
    "softplus": [Softplus(4)],
    "attention": [CausalAttention(4, 2, 5), CausalAttention(4, 1, 2)],
    "norm": [RMSNorm(4), LayerNorm(4, 0.1)],
    "gated": [GatedUnit(4), GatedUnit(4, "linear")],
    "add": [Parallel(Conv1d(4, 4, 2), Identity(4))],
    "mul": [Parallel(Conv1d(4, 4, 2), Identity(4), combine="product")],
    "concat": [Parallel(Conv1d(4, 4, 2), Identity(4), combine="concat")],
    "delay": [Delay(4, 3)],
    "noise_multiply": [NoiseMultiply(4, seed=9)],
}
# Operations that no layer of a stack emits: how a model emits them, and what they mean.
OTHERS = ("slice", "affine", "latent_sample", "categorical", "logistic_mixture", "embed", "feed")


def _other(kind: str, given: dict[str, Tensor]) -> tuple[Graph, Step, State]:
    build = Builder("forward", 4)
    if kind == "slice":
        y = build.op("slice", build.input, channels=2, attributes={"start": 1, "stop": 3})
        return build.finish(y), lambda x, state: (x[:, 1:3], state), ()
    if kind == "affine":
        y = build.op("affine", build.input, attributes={"scale": "scale", "bias": "bias"})
        scale, bias = given["scale"][:, None], given["bias"][:, None]
        return build.finish(y), lambda x, state: (x * scale + bias, state), ()
    if kind == "feed":
        loop = case_net("loop_tiers")
        return (build.finish(loop.lower(build, _first(build))),
                lambda x, state: call(loop, x[:, :1], state, given), loop.init_state(3))
    if kind == "embed":
        table = Embed(3, 2)
        return (build.finish(table.lower(build, _first(build))),
                lambda x, state: table(x[:, :1], state), ())
    if kind in ("categorical", "logistic_mixture"):
        two = build.op("concat", build.input, build.input, build.input, channels=12)
        draw = Categorical(6, 2) if kind == "categorical" else LogisticMixture(2, 2, limit=1.5)
        return (build.finish(draw.lower(build, two)),
                lambda x, state: draw(x.repeat(1, 3, 1), state, given), draw.init_state(3))
    layer = LatentSample(2)
    return (build.finish(layer.lower(build, build.input)),
            lambda x, state: layer(x, state, given), layer.init_state(3))


def _first(build: Builder) -> Value:
    return build.op("slice", build.input, channels=1, attributes={"start": 0, "stop": 1})


def run_graph(
    graph: Graph, x: Tensor, states: State, given: dict[str, Tensor], chunks: list[int]
) -> tuple[np.ndarray, list[np.ndarray]]:
    """A graph through ONNX Runtime, chunk by chunk; the output and the last states."""
    methods = {"forward": Method("forward", 1, 1, 1, 1, ("in",), ("out",))}
    proto = build_method(graph, Description("test", "test", 16000, methods, ATTRIBUTES))
    onnx.checker.check_model(proto, full_check=True)
    options = ort.SessionOptions()
    options.log_severity_level = 3
    session = ort.InferenceSession(proto.SerializeToString(), options)
    known = {i.name for i in session.get_overridable_initializers()}
    feed = {f"attribute_{k}": v.numpy() for k, v in given.items() if f"attribute_{k}" in known}
    held = [s.numpy() for s in states]
    outputs, at, unit = [], 0, granularity(graph)
    for chunk in chunks:
        block = x[:, :, at : at + chunk * unit].numpy()
        carried = {f"state_in_{i}": s for i, s in enumerate(held)}
        y, *held = session.run(None, {"x": block, **carried, **feed})
        outputs.append(y)
        at += chunk * unit
    assert at == x.shape[2]
    return np.concatenate(outputs, axis=2), held


def compare(graph: Graph, step: Step, x: Tensor, state: State, given: dict[str, Tensor],
            chunks: list[int]) -> float:
    """Largest error, relative to the reference's peak; states are compared too."""
    with torch.no_grad():
        wanted, after = step(x, state)
    got, held = run_graph(graph, x, state, given, chunks)
    assert got.shape == wanted.shape
    assert wanted.numel() > 0
    assert [h.shape for h in held] == [s.shape for s in after]
    pairs = [(got, wanted.numpy()), *((h, s.numpy()) for h, s in zip(held, after, strict=True))]
    return max(float(np.abs(a - b).max() / max(1.0, np.abs(b).max())) for a, b in pairs)


def test_every_operation_has_a_form_and_a_test():
    assert {*EMIT, *IN_LOOPS} == set(KINDS)
    assert {*LAYERS, *OTHERS} == set(KINDS)


@pytest.mark.parametrize("kind", KINDS)
def test_operation_equals_pytorch_for_three_streams(kind):
    given_values = {"temperature": torch.tensor([0.7]),
                    "scale": torch.tensor([0.5, -1.0, 2.0, 1.5]),
                    "bias": torch.tensor([1.0, 0.0, -2.0, 0.25]),
                    "top_p": torch.tensor([0.8]), "seed": torch.tensor([77.0])}
    generator = torch.Generator().manual_seed(2)
    chunks = [1, 4, 1, 2, 8]
    if kind in OTHERS:
        graph, step, state = _other(kind, given_values)
        x = torch.randn(3, 4, 16 * granularity(graph), generator=generator)
        assert compare(graph, step, x, state, given_values, chunks) < TOLERANCE
        return
    for layer in map(_randomised, LAYERS[kind]):
        build = Builder("forward", 4)
        graph = build.finish(layer.lower(build, build.input))
        assert kind in [op.kind for op in graph.ops]
        assert granularity(graph) == layer.granularity
        x = torch.randn(3, 4, 16 * layer.granularity, generator=generator)
        state = tuple(torch.randn(s.shape, generator=generator) for s in layer.init_state(3))
        if kind == "noise_multiply":
            state = (torch.tensor([[0.0], [2.0**24 - 3], [123456.0]]),)  # one about to wrap
        given = {name: given_values[name] for name in layer.may_use}
        error = compare(graph, _with(layer, given), x, state, given, chunks)
        assert error < TOLERANCE


def _with(layer: Streaming, given: dict[str, Tensor]) -> Step:
    return lambda x, state: call(layer, x, state, given)


@pytest.mark.parametrize("name", LOOPS)
def test_loops_equal_pytorch(name):
    net = case_net(name)
    build = Builder("forward", net.in_channels)
    graph = build.finish(net.lower(build, build.input))
    chunks = [1, 3, 1, 7]
    x = signal(net, sum(chunks), 2, torch.float32)
    values = values_of(net)
    assert set(values) == set(attributes_of(net))
    error = compare(graph, lambda x, state: net(x, state, values), x, net.init_state(2), values,
                    chunks)
    assert error < TOLERANCE


def test_noise_is_the_same_bit_for_bit():
    layer = NoiseMultiply(7, seed=3)
    build = Builder("forward", 7)
    graph = build.finish(layer.lower(build, build.input))
    x, state = torch.ones(2, 7, 50), (torch.tensor([[5.0], [2.0**24 - 20]]),)
    given = {"seed": torch.tensor([7.0])}
    got, held = run_graph(graph, x, state, given, [1, 30, 19])
    wanted, after = layer(x, state, given)
    assert got.shape == wanted.shape
    assert np.array_equal(got, wanted.numpy())
    assert np.array_equal(held[0], after[0].numpy())


def test_guard_cleans_every_wrong_number():
    layer = Guard(1)
    build = Builder("forward", 1)
    graph = build.finish(layer.lower(build, build.input))
    x = torch.tensor([[[0.5, torch.nan, torch.inf, -torch.inf, 1e30, -1e30, 3.5e38, -9.0, 8.0]]])
    got, _ = run_graph(graph, x, (), {}, [9])
    assert got.tolist() == [[[0.5, 0, 0, 0, 8, -8, 0, -8, 8]]]


@settings(max_examples=25, deadline=None)
@given(net=stack())
def test_random_stacks_equal_pytorch(net):
    build = Builder("forward", net.in_channels)
    graph = build.finish(net.lower(build, build.input))
    chunks = [1, 3, 1, 7]
    x = signal(net, sum(chunks), 2, torch.float32)
    assert granularity(graph) == net.granularity
    assert graph.output.ratio == net.ratio
    seed = {name: torch.tensor([3.0]) for name in net.may_use}
    error = compare(graph, _with(net, seed), x, net.init_state(2, x.dtype), seed, chunks)
    assert error < TOLERANCE


def test_a_method_that_only_passes_on_is_a_valid_file():
    build = Builder("forward", 2)
    x = torch.randn(1, 2, 5)
    got, _ = run_graph(build.finish(build.input), x, (), {}, [2, 3])
    assert np.array_equal(got, x.numpy())


def test_parametrised_weights_are_folded_and_the_model_left_alone():
    conv = torch.nn.utils.parametrizations.weight_norm(Conv1d(2, 3, 3))
    with torch.no_grad():
        conv.parametrizations.weight.original0.mul_(1.7)
    net = Sequence(conv)
    build = Builder("forward", 2)
    graph = build.finish(net.lower(build, build.input))
    x = torch.randn(1, 2, 9)
    assert compare(graph, net, x, net.init_state(), {}, [9]) < TOLERANCE
    assert "parametrizations.weight.original0" in dict(conv.named_parameters())


def test_rates_of_every_value_make_the_granularity():
    build = Builder("forward", 1)
    x = build.op("conv1d", build.input, channels=1, ratio=4)
    x = build.op("conv_transpose1d", x, channels=1, ratio=Fraction(1, 3))
    assert granularity(build.finish(x)) == 4
