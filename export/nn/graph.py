"""From a model's method to one flat TorchScript function: traced, inlined and cleaned.

The function takes (x, states, attributes, weights) and returns (y, new states). Weights are
arguments, not constants, so that the module that calls it may move them to a GPU; nothing in it
names a device.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from engine.models.base import Model
from export.nn.fast import MatrixConvolutions
from export.nn.internals import internal, internal_type, tidy
from export.nn.loops import scripted_loops

ENDLESS = 2**63 - 1


@dataclass(frozen=True)
class Step:
    """One method as a function of tensors, and the weights that it takes last."""

    function: Any
    weights: list[Tensor]


class _Methods(nn.Module):
    """A model's methods with positional tensors only, which is all that the tracer knows."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model
        for name in model.methods:
            setattr(self, name, self._function(name))

    def _function(self, name: str) -> Any:
        count, attributes = len(self.model.state_shapes(name)), list(self.model.attributes)

        def step(*tensors: Tensor) -> tuple[Tensor, ...]:
            x, state, values = tensors[0], tensors[1 : 1 + count], tensors[1 + count :]
            y, state = self.model.step(name, x, state, dict(zip(attributes, values, strict=True)))
            return (y, *state)

        return step


def trace_steps(model: Model) -> dict[str, Step]:
    """Every method of `model` (evaluation mode, float32, CPU, no gradients) as a `Step`."""
    examples = {name: _example(model, name) for name in model.methods}
    with scripted_loops(model, model.default_attributes(), _trace_block):
        return _traced(_Methods(model), examples)


def _traced(methods: nn.Module, examples: dict[str, tuple[Tensor, ...]]) -> dict[str, Step]:
    """Functions of a module, by name, each with the tensors to trace it with."""
    with torch.no_grad():
        with MatrixConvolutions(methods, record=True):
            for name, example in examples.items():
                getattr(methods, name)(*example)
        with MatrixConvolutions(methods, record=False):
            traced = torch.jit.trace_module(methods, examples, check_trace=False)
    return {
        name: _flatten(name, getattr(traced, name).graph, traced, len(example))
        for name, example in examples.items()
    }


def _trace_block(holder: nn.Module, example: tuple[Tensor, ...]) -> tuple[Any, list[Tensor]]:
    step = _traced(holder, {"block": example})["block"]
    return step.function, step.weights


def _example(model: Model, name: str) -> tuple[Tensor, ...]:
    """Inputs to trace a method with: two streams, two smallest blocks.

    One of either could let a constant 1 hide where a size belongs."""
    method = model.methods[name]
    x = torch.zeros(2, method.in_channels, 2 * model.ratio // method.in_ratio)
    values = model.default_attributes()
    return (x, *model.zero_state(name, 2), *(values[a] for a in model.attributes))


def _flatten(name: str, graph: Any, traced: Any, arguments: int) -> Step:
    graph, weights = internal("_jit_pass_lower_graph")(graph, traced._c)
    internal("_jit_pass_inline")(graph)
    internal("_jit_pass_lower_all_tuples")(graph)
    _remove_whole_slices(graph)
    _remove_cancelling_transposes(graph)
    _scalars_for_constant_tensors(graph)
    _devices_from_input(graph)
    tidy(graph)
    graph.makeMultiOutputIntoTuple()
    inputs = list(graph.inputs())
    used: list[Any] = []
    for index in reversed(range(arguments, len(inputs))):
        if inputs[index].uses():
            used.append(weights[index - arguments])
        else:
            graph.eraseInput(index)
    function = internal("_create_function_from_graph")(f"__torch__.{name}_step", graph)
    return Step(function, [w.detach() for w in reversed(used)])


def _constant(value: Any) -> Any:
    """The Python value of a graph constant, or None."""
    node = value.node()
    return value.toIValue() if node.kind() == "prim::Constant" else None


def _remove_whole_slices(graph: Any) -> None:
    """x[:, :, a:] is traced as three slices; the two that keep everything go."""
    for node in list(graph.findAllNodes("aten::slice")):
        x, _, start, end, step = node.inputs()
        if _constant(start) == 0 and _constant(end) == ENDLESS and _constant(step) == 1:
            node.output().replaceAllUsesWith(x)
            node.destroy()


def _remove_cancelling_transposes(graph: Any) -> None:
    """A transpose straight after the same transpose: both go."""
    for node in list(graph.findAllNodes("aten::transpose")):
        x, first, second = node.inputs()
        before = x.node()
        if before.kind() != "aten::transpose":
            continue
        y, *dims = before.inputs()
        if [_constant(d) for d in dims] == [_constant(first), _constant(second)]:
            node.output().replaceAllUsesWith(y)


def _scalars_for_constant_tensors(graph: Any) -> None:
    """`x * 0.5` is traced with 0.5 as a float64 tensor on the CPU; it becomes a plain number."""
    for constant in list(graph.findAllNodes("prim::Constant")):
        if not constant.hasAttribute("value") or constant.kindOf("value") != "t":
            continue
        tensor = constant.t("value")
        if tensor.dim():
            raise ValueError(f"a constant tensor of shape {list(tensor.shape)} in the graph; make "
                             "it a buffer of its layer, so that it follows the device")
        number = tensor.item()
        plain = graph.create("prim::Constant", 1)
        if isinstance(number, float):
            plain.f_("value", number).output().setType(internal_type("FloatType"))
        else:
            plain.i_("value", int(number)).output().setType(internal_type("IntType"))
        plain.insertBefore(constant)
        constant.output().replaceAllUsesWith(plain.output())
        constant.destroy()


def _devices_from_input(graph: Any) -> None:
    """A device named in the trace is this machine's; the one meant is that of the input."""
    x = next(graph.inputs())
    device = None
    for constant in list(graph.findAllNodes("prim::Constant")):
        if not isinstance(constant.output().toIValue(), torch.device):
            continue
        if device is None:
            device = graph.create("prim::device", [x], 1)
            graph.prependNode(device)
            device.output().setType(constant.output().type())
        constant.output().replaceAllUsesWith(device.output())
        constant.destroy()
