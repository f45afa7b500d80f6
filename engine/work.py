"""What a method asks of a machine, operation by operation: from layers before any training, or from
the op table of a native file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

from engine.cost import OpCost, op_cost

if TYPE_CHECKING:
    from engine.graph import Graph, Op
    from engine.models.base import Model
    from engine.native import NativeFile

# What one number of an operation's output costs beside its MACs, in MACs: as the C runtime counts
# when it cuts slices (engine/core/shape.c).
_NUMBER_COST = {
    "leaky_relu": 3, "elu": 12, "tanh": 10, "sigmoid": 11, "snake": 12, "gated": 14,
    "noise_multiply": 10, "latent_sample": 60, "lstm": 50, "gru": 35,
}
_VIEWS = ("slice", "delay", "concat")  # other views of the same rows in the runtime: no work


@dataclass(frozen=True)
class Work:
    """One operation. Rates are per second of audio."""

    name: str
    kind: str
    macs_per_second: float
    cost_per_second: float  # MACs, and all else in MACs
    rows_per_second: float
    weights: int  # numbers
    state: int  # numbers carried from block to block


@dataclass(frozen=True)
class Task:
    """A method as a machine sees it."""

    model: str
    method: str
    sample_rate_hz: int
    frame_samples: int
    lookahead_samples: int
    works: tuple[Work, ...]
    # Numbers of an instance that plays so many samples at once: scratch, and the state of all
    # methods in rings. Estimated from layers, exact from a file.
    instance: Callable[[int], tuple[int, int]]
    one_weights: int  # numbers of all methods, each once
    file_bytes: int | None = None  # of a file that exists

    @property
    def macs_per_second(self) -> float:
        """Multiply-accumulates per second of audio."""
        return sum(work.macs_per_second for work in self.works)

    @property
    def weights(self) -> int:
        """Numbers that one block reads at least once."""
        return sum(work.weights for work in self.works)

    @property
    def state(self) -> int:
        """Numbers carried from block to block."""
        return sum(work.state for work in self.works)

    def call_samples(self, block: int) -> int:
        """Samples played at once where the host hands over `block`: whole frames."""
        return ceil(block / self.frame_samples) * self.frame_samples


def task_of_model(model: Model, name: str, method: str = "forward") -> Task:
    """From the layers; the weights play no part."""
    spec, graph = model.methods[method], model.graph(method)
    rate = model.sample_rate_hz
    works = [_work(op, op_cost(op, rate / spec.in_ratio)) for op in graph.ops]
    graphs = {key: model.graph(key) for key in model.methods}
    scratch = max(_alive(g, model.methods[key].in_frames) / model.methods[key].ratio
                  for key, g in graphs.items())

    def instance(samples: int) -> tuple[int, int]:
        rings = sum(_rings(g, samples / model.methods[key].in_ratio) for key, g in graphs.items())
        return ceil(scratch * samples), ceil(rings)

    return Task(name, method, rate, spec.ratio, spec.lookahead_samples, tuple(works), instance,
                model.parameter_count)


def _rings(graph: Graph, in_frames: float) -> float:
    """Numbers of the state: a ring keeps its past and a block's rows, twice over where the past is
    the longer, so that rows always lie in a line."""
    total = 0.0
    for op in graph.ops:
        if op.state_count:
            block = op.inputs[0].channels * in_frames / float(op.inputs[0].ratio)
            total += (op.state_count + block) * (2 if op.state_count > block else 1)
    return total


def _work(op: Op, cost: OpCost) -> Work:
    rows = cost.frame_rate_hz
    each = 0 if op.kind in _VIEWS else _NUMBER_COST.get(op.kind, 2)
    if op.kind == "conv_transpose1d":  # one reading of the weights makes a row for every phase
        rows = cost.frame_rate_hz * float(op.output.ratio / op.inputs[0].ratio)
    numbers = cost.frame_rate_hz * cost.out_channels
    return Work(op.name, op.kind, cost.macs_per_second, cost.macs_per_second + each * numbers,
                rows, op.weight_count, op.state_count)


def _alive(graph: Graph, in_frames: int) -> float:
    """Most numbers that are needed at the same time, per smallest block."""
    size = {v.index: v.channels * in_frames / float(v.ratio)
            for v in (graph.input, *(op.output for op in graph.ops))}
    last = {graph.input.index: 0, graph.output.index: len(graph.ops)}
    for at, op in enumerate(graph.ops):
        last.update({value.index: at for value in op.inputs if value is not graph.output})
    born = {graph.input.index: -1} | {op.output.index: at for at, op in enumerate(graph.ops)}
    return max((sum(n for i, n in size.items() if born[i] <= at <= last.get(i, at))
                for at in range(len(graph.ops))), default=0.0)


def task_of_file(file: NativeFile, method: str = "forward") -> Task:
    """From the op table of a native file."""
    spec = file.methods[method]
    frames = file.sample_rate_hz / spec.frame_samples
    works = tuple(
        Work(op.name, op.kind, op.macs * frames, op.cost * frames, op.rows * frames,
             op.weights_bytes // 4, op.state_bytes // 4)
        for op in file.ops(method)
    )

    def instance(samples: int) -> tuple[int, int]:
        fast_bytes, bulk_bytes, state_bytes = file.memory(1, samples)
        return (fast_bytes + bulk_bytes - state_bytes) // 4, state_bytes // 4

    size = file.path.stat().st_size if file.path.exists() else None
    return Task(file.name, method, file.sample_rate_hz, spec.frame_samples, spec.latency_samples,
                works, instance, max(sum(w.weights for w in works), (size or 0) // 4), size)
