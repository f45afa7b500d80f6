"""Loops in TorchScript: a trace would unroll them for the length that it was made with, so the
smallest block is traced alone and a scripted `while` goes round it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from engine.layers import Loop, State
from engine.layers.base import Attributes
from export.nn.internals import internal

# What traces a function of tensors, kept by a module, into one with its weights as last arguments.
Trace = Callable[[nn.Module, tuple[Tensor, ...]], tuple[Any, list[Tensor]]]


class _Block(nn.Module):
    """The smallest block of a loop with positional tensors only."""

    def __init__(self, loop: Loop, attributes: list[str]) -> None:
        super().__init__()
        self.loop, self.attributes = loop, attributes
        self.count = len(loop.state_shapes())

    def block(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        x, state, values = tensors[0], tensors[1 : 1 + self.count], tensors[1 + self.count :]
        y, state = self.loop.group(x, state, dict(zip(self.attributes, values, strict=True)))
        return (y, *state)


@contextmanager
def scripted_loops(
    model: nn.Module, attributes: Attributes, trace: Trace
) -> Iterator[None]:
    """While active, loops of `model` run by scripted functions, which a trace calls as they are."""
    loops = [module for module in model.modules() if isinstance(module, Loop)]
    for number, loop in enumerate(loops):
        read = _read(loop, attributes)
        example = (torch.zeros(2, loop.in_channels, loop.granularity),
                   *loop.init_state(2, torch.float32, "cpu"),
                   *(attributes[name] for name in read))
        block, weights = trace(_Block(loop, read), example)
        names = [f"block_weight_{index}" for index in range(len(weights))]
        for name, weight in zip(names, weights, strict=True):
            loop.register_buffer(name, weight, persistent=False)
        loop.scripted = _runner(loop, _while(loop, block, len(read), len(names), number), read,
                                names)
    try:
        yield
    finally:
        for loop in loops:
            loop.scripted = None
            for name in [n for n in loop._buffers if n.startswith("block_weight_")]:
                delattr(loop, name)


def _read(loop: Loop, attributes: Attributes) -> list[str]:
    """Attributes that a loop reads: all that it must, and those that it may where they are."""
    return [*loop.uses, *(name for name in loop.may_use
                          if name in attributes and name not in loop.uses)]


def _runner(
    loop: Loop, function: Any, read: list[str], names: list[str]
) -> Callable[[Tensor, State, Attributes | None], tuple[Tensor, State]]:
    def run(x: Tensor, state: State, attributes: Attributes | None) -> tuple[Tensor, State]:
        values = [] if attributes is None else [attributes[name] for name in read]
        y, *after = function(x, *state, *values, *(getattr(loop, name) for name in names))
        return y, tuple(after)

    return run


def _while(loop: Loop, block: Any, attributes: int, weights: int, number: int) -> Any:
    """The scripted function (x, states, attributes, weights) -> (y, states)."""
    states = [f"s{i}" for i in range(len(loop.state_shapes()))]
    values = [f"a{i}" for i in range(attributes)] + [f"w{i}" for i in range(weights)]
    arguments = ", ".join(f"{name}: Tensor" for name in ["x", *states, *values])
    kinds = ", ".join(["Tensor"] * (1 + len(states)))
    step, name = loop.granularity, f"loop_{number}"
    source = f"""
def {name}({arguments}) -> Tuple[{kinds}]:
    y = torch.zeros([x.size(0), {loop.out_channels}, x.size(2)], dtype=torch.float32,
                    device=x.device)
    at = 0
    end = x.size(2)
    while at < end:
        part, {', '.join(states)} = block(x[:, :, at : at + {step}], {', '.join(states + values)})
        y[:, :, at : at + {step}].copy_(part)
        at = at + {step}
    return y, {', '.join(states)}
"""
    known: Any = {"torch": torch, "block": block}
    unit = internal("CompilationUnit")()
    unit.define(source, known.get)
    return getattr(unit, name)
