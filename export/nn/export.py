"""Models as TorchScript for nn~ (Max/MSP and Pure Data)."""

from __future__ import annotations

import copy
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from engine.description import Description, Method
from engine.errors import ConfigError
from engine.files import atomic_write
from engine.models.base import Model
from engine.players.torchscript import read_description
from export.nn.archive import rewrite
from export.nn.graph import Step, trace_steps
from export.nn.host_rate import Queued
from export.nn.internals import check_internals, internal
from export.nn.operators import check_operators
from export.nn.source import (
    IDLE,
    RESET,
    after_name,
    before_name,
    buffer_name,
    one_name,
    shell_source,
    step_name,
    waiting_name,
    whole_name,
)

__all__ = ["export_nn", "read_description", "write_description"]

MAX_BATCH = 16  # streams of an mc.nn~ that find their state preallocated; more make it grow
SMALLEST_RATIO = 64  # nn~ with a buffer size of 0 needs some method of at least Pd's block
FLOAT, INTEGER = 2, 1  # type codes of nn~ attributes


def export_nn(
    model: Model, path: Path, description: Description, max_batch: int = MAX_BATCH
) -> None:
    """Write `model` as a `.ts` that nn~ plays; `description` goes along as `tudor.json`."""
    check_internals()
    _check_ratios(description)
    shell = build_shell(folded(model), description, max_batch)
    raw = BytesIO()  # PyTorch's own writing to a full disk ends the process
    torch.jit.save(shell, raw)
    with atomic_write(path) as temporary:
        rewrite(raw, temporary, description)


def write_description(path: Path, description: Description) -> None:
    """Replace the metadata of an exported file, weights and code unchanged."""
    read_description(path)  # complains when the file is not ours
    with atomic_write(path) as temporary:
        rewrite(path, temporary, description)


def _check_ratios(description: Description) -> None:
    for method in description.methods.values():
        for ratio in (method.in_ratio, method.out_ratio, method.ratio):
            if ratio < 1 or ratio & (ratio - 1):
                raise ConfigError(
                    f"{description.name}.{method.name} has a ratio of {ratio}; nn~ plays powers "
                    "of two only"
                )


def folded(model: Model) -> Model:
    """A float32 copy in evaluation mode, without gradients and without parametrisations.

    Weight norm and its like script without complaint and then fail at every call of nn~."""
    # Old-style weight norm leaves computed tensors behind, which deepcopy refuses to copy.
    memo = {
        id(value): value.detach().clone()
        for module in model.modules()
        for value in vars(module).values()
        if isinstance(value, Tensor) and not value.is_leaf
    }
    result = copy.deepcopy(model, memo).eval().cpu().float().requires_grad_(False)
    for module in list(result.modules()):
        if parametrize.is_parametrized(module):
            _fold(module)
        for hook in list(module._forward_pre_hooks.values()):
            if hasattr(hook, "remove") and hasattr(hook, "name"):  # torch.nn.utils.weight_norm
                torch.nn.utils.remove_weight_norm(module, hook.name)
    return result.requires_grad_(False)


def _fold(module: nn.Module) -> None:
    """Computed weights become plain ones.

    `remove_parametrizations` will not do: it takes the property off the class, which the copy
    shares with the caller's model."""
    names = list(module.parametrizations)  # type: ignore[arg-type]
    values = {name: getattr(module, name).detach().clone() for name in names}
    module.__class__ = parametrize.type_before_parametrizations(module)
    del module.parametrizations
    for name, value in values.items():
        module.register_parameter(name, nn.Parameter(value))


class _Shell(nn.Module):
    """Buffers of the exported file; its methods are defined from source."""

    def __init__(self, description: Description) -> None:
        super().__init__()
        for attribute in description.attributes.values():
            self.register_buffer(buffer_name(attribute),
                                 torch.full((attribute.size,), attribute.default))
            self.register_buffer(f"{attribute.name}_params",
                                 torch.full((attribute.size,), FLOAT, dtype=torch.int64))
            if attribute.size > 1:
                one = one_name(attribute)
                self.register_buffer(f"{one}_params", torch.tensor([INTEGER, FLOAT]))
                self.register_buffer(f"{one}_index", torch.tensor([1]))
        self.register_buffer(f"{RESET}_params", torch.tensor([INTEGER]))
        self.register_buffer("sample_rate", torch.tensor([description.sample_rate_hz]))
        self.register_buffer("host_rate", torch.tensor([0]))
        for name, method in description.methods.items():
            self._describe(name, method.input_labels, method.output_labels, [
                method.in_channels, method.in_ratio, method.out_channels, method.out_ratio])

    def _describe(self, name: str, inputs: Any, outputs: Any, params: list[int]) -> None:
        self.register_buffer(f"{name}_params", torch.tensor(params))
        setattr(self, f"{name}_input_labels", torch.jit.Attribute(list(inputs), list[str]))
        setattr(self, f"{name}_output_labels", torch.jit.Attribute(list(outputs), list[str]))


def build_shell(model: Model, description: Description, max_batch: int) -> Any:
    """The scripted module, ready to be saved."""
    queued = model if isinstance(model, Queued) else None
    model = model if queued is None else queued.inner
    steps = {k: v for k, v in trace_steps(model).items() if k in description.methods}
    # A class of its own: modules of one class share a type, and its methods are defined once.
    shell = type("Model", (_Shell,), {})(description)
    weights = _add_weights(shell, steps)
    states = {name: _add_states(shell, name, model, max_batch) for name in description.methods}
    if queued is not None:
        for name, method in description.methods.items():
            states[name] += _add_queues(shell, method, queued, max_batch)
    smallest = max(SMALLEST_RATIO, description.ratio)
    idle = smallest > max(max(m.in_ratio, m.out_ratio) for m in description.methods.values())
    if idle:  # nn~ learns the smallest block from ratios alone
        shell._describe(IDLE, ["nothing"], ["nothing"], [1, smallest, 1, smallest])
    scripted = torch.jit.script(shell)
    known = {"torch": torch, "ValueError": ValueError,
             **{step_name(name): step.function for name, step in steps.items()}}
    queues = (0, 0) if queued is None else (queued.frame, queued.queue)
    for source in shell_source(description, states, weights, idle, *queues):
        scripted._c._define(scripted._concrete_type, source, known.get)
    for name in steps if queued is None else [*map(whole_name, steps), *steps]:
        # The functions live no longer than `steps`; inlined, the methods do not need them.
        internal("_jit_pass_inline")(scripted._c._get_method(name).graph)
    check_operators(scripted, description.name)
    return scripted.eval()


def _add_weights(shell: nn.Module, steps: dict[str, Step]) -> dict[str, list[str]]:
    """Weights as parameters, once each; returns the names that each method reads, in order."""
    names: dict[int, str] = {}
    for step in steps.values():
        for weight in step.weights:
            if weight.data_ptr() not in names:
                names[weight.data_ptr()] = name = f"weight_{len(names)}"
                shell.register_parameter(name, nn.Parameter(weight, requires_grad=False))
    result = {}
    for method, step in steps.items():
        result[method] = [names[weight.data_ptr()] for weight in step.weights]
        setattr(shell, f"{method}_weights", torch.jit.Attribute(result[method], list[str]))
    return result


def _add_queues(shell: nn.Module, method: Method, queued: Queued, max_batch: int) -> list[str]:
    """Room for what waits before and behind a method; returns the buffers' names."""
    before, after = before_name(method.name), after_name(method.name)
    shell.register_buffer(before, torch.zeros(max_batch, method.in_channels, queued.frame))
    shell.register_buffer(after, torch.zeros(max_batch, method.out_channels, queued.queue))
    shell.register_buffer(waiting_name(method.name), torch.tensor([0]))
    return [before, after]


def _add_states(shell: nn.Module, method: str, model: Model, max_batch: int) -> list[str]:
    """Zero buffers for the state of `method`; returns their names."""
    shapes = model.state_shapes(method)
    names = [f"{method}_state_{index}" for index in range(len(shapes))]
    for name, shape in zip(names, shapes, strict=True):
        shell.register_buffer(name, torch.zeros((max_batch, *shape)))
    return names
