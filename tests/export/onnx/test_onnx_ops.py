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

from benchmarks.op_cases import OpCase, cases
from engine.description import Attribute, Description, Method
from engine.graph import Builder, Graph
from engine.layers import (
    Conv1d,
    Guard,
    NoiseMultiply,
    Sequence,
    State,
    Streaming,
)
from engine.layers.base import call
from engine.ops import KINDS
from export.onnx.export import build_method, granularity
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
    feed = {f"attribute_{k}": v.numpy().reshape(-1, v.shape[-1]) for k, v in given.items()
            if f"attribute_{k}" in known}
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


def _state(case: OpCase, generator: torch.Generator) -> State:
    """One that three streams may be in, as far as any number will do."""
    core = KINDS[case.kind].core
    fresh = case.layer.init_state(3)
    if core is not None and core.state == "COUNTER":  # one about to wrap
        return (torch.tensor([[0.0], [2.0**24 - 3], [123456.0]]),)
    if case.kind == "feed" or (core is not None and core.draws):
        return fresh
    if case.kind == "note":  # a gate and a count: whole numbers
        return tuple(torch.randint(0, 2, s.shape, generator=generator).float() for s in fresh)
    return tuple(torch.randn(s.shape, generator=generator) for s in fresh)


def _each(values: np.ndarray) -> np.ndarray:
    """An attribute's numbers for the first of three streams, and other ones for the others."""
    return np.stack([values, np.round(0.5 * values, 2), np.round(0.25 * values[::-1], 2)])


READ_ATTRIBUTES = ("affine", "control", "latent_sample", "categorical", "logistic_mixture", "feed",
                   "noise_multiply", "keyed_noise", "resynth")


@pytest.mark.parametrize(("kind", "each"), [
    *((kind, False) for kind in KINDS), *((kind, True) for kind in READ_ATTRIBUTES)])
def test_operation_equals_pytorch_for_three_streams(kind, each):
    generator = torch.Generator().manual_seed(2)
    chunks = [1, 4, 1, 2, 8]
    for case in cases(kind, 4):
        assert not each or case.attributes
        layer, graph = case.layer, case.graph()
        assert kind in [op.kind for op in graph.ops]
        assert granularity(graph) == layer.granularity
        x = torch.randn(3, layer.in_channels, 16 * layer.granularity, generator=generator)
        given = {name: torch.from_numpy(np.floor(_each(values)) if each and name == "seed"
                                        else _each(values) if each else values)
                 for name, values in case.attributes.items()}
        error = compare(graph, _with(layer, given), x, _state(case, generator), given, chunks)
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
