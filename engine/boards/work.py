"""What a method asks of a machine, operation by operation: from layers before any training, or from
the op table of a native file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from math import ceil, lcm
from typing import TYPE_CHECKING, Any

from engine.boards.board import STATE_BYTES
from engine.boards.cost import OpCost, op_cost
from engine.boards.strokes import Struck, by_graph, by_table
from engine.errors import ConfigError
from engine.graph import repeats
from engine.ops import ACTS, BF16W, CORE, DTYPES, FLOAT32, KINDS, Q16X8, core_op

if TYPE_CHECKING:
    from engine.graph import Graph, Op
    from engine.models.base import Model
    from engine.players.native_model import NativeFile, OpInfo

IN_A_ROW = "+"  # between the names of methods that are played one after the other
_PASSES = 2  # what the runtime counts for a number that only passes; here nothing
# By the codes of weights in a native file (DTYPE_... in engine/core/format.inc).
FORMATS = (FLOAT32, BF16W, Q16X8, Q16X8)
_FLOAT_BYTES, _HEAD_BYTES = 4, 8  # of a bias; of a factor and a bias


@dataclass(frozen=True)
class Work:
    """One operation. Rates are per second of audio."""

    name: str
    kind: str
    macs_per_second: float
    rows_per_second: float
    weights: int  # numbers, biases among them
    state: int  # numbers carried from block to block
    numbers_per_second: float = 0.0  # that a convolution puts out
    act_per_second: float = 0.0  # activations, in units of about a MAC
    by_itself_per_second: float = 0.0  # numbers of an operation that is fused into no other
    heads: int = 0  # outputs: numbers of a bias
    depthwise: bool = False
    packed: tuple[str, int] | None = None  # number format in a file, and bytes there
    loop_calls_per_second: float = 0.0  # of a loop, which calls it once for each of its steps
    exact: bool = False  # float32, whatever the others are
    method: str = ""  # where several are played in a row: whose operation it is
    stretches: tuple[tuple[int, int], ...] = ()  # of a file's weights: offset, bytes
    same_as: int = 0  # so many operations before is the first with the same weights; 0: its own

    def format(self, dtype: str) -> str:
        """The number format in which it runs where the others run in `dtype`."""
        return FLOAT32 if self.exact else dtype

    def calls(self, blocks_per_second: float) -> float:
        """How often per second it is called."""
        return max(blocks_per_second, self.loop_calls_per_second)

    @property
    def outputs(self) -> float:
        """Numbers that a convolution makes of each reading of its weights; 0: it is none."""
        return self.numbers_per_second / self.rows_per_second if self.rows_per_second else 0.0

    @property
    def row_by_row(self) -> bool:
        """Whether each row waits for the one before, and reads the weights anew."""
        core = core_op(self.kind)
        return core is not None and core.is_recurrent

    @property
    def dtypes(self) -> tuple[str, ...]:
        """Number formats of files that may hold it."""
        core = core_op(self.kind)
        return DTYPES if core is None else core.dtypes

    def weights_bytes(self, dtype: str) -> int:
        """As the native file holds them in that number format; from a file's own, exact."""
        if self.packed and self.packed[0] == dtype:
            return self.packed[1]
        if self.format(dtype) == FLOAT32 or (dtype == BF16W and self.row_by_row):
            return _FLOAT_BYTES * self.weights
        if self.heads == 0:  # parameters of activations are floats everywhere
            return _FLOAT_BYTES * self.weights
        if dtype == BF16W:
            return _FLOAT_BYTES * self.heads + 2 * (self.weights - self.heads)
        return _HEAD_BYTES * ceil(self.heads / 16) * 16 + (self.weights - self.heads)


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
    operations: int = 0  # of all methods, as the runtime runs them
    file_bytes: int | None = None  # of a file that exists
    dtype: str | None = None  # its number format
    start_numbers: int = 0  # of the state that methods start with, where that is not zeros
    is_mono: bool = False  # one channel of audio in, and one out
    struck: Struck | None = None  # by gates

    @property
    def macs_per_second(self) -> float:
        """Multiply-accumulates per second of audio."""
        return sum(work.macs_per_second for work in self.works)

    @property
    def weights(self) -> int:
        """Numbers that one block reads at least once."""
        return sum(work.weights for work in self.works if not work.same_as)

    @property
    def state(self) -> int:
        """Numbers carried from block to block."""
        return sum(work.state for work in self.works)

    def weights_bytes(self, dtype: str) -> int:
        """Bytes that one block reads at least once."""
        return sum(work.weights_bytes(dtype) for work in self.works if not work.same_as)

    def call_samples(self, block: int) -> int:
        """Samples played at once where the host hands over `block`: whole frames."""
        return ceil(block / self.frame_samples) * self.frame_samples


def _check_row(names: list[str], ends: list[tuple[int, int, int, int]]) -> None:
    """Channels and ratio that come out of each method, and go into the next one."""
    for (name, before), (other, after) in pairwise(zip(names, ends, strict=True)):
        if before[2:] != after[:2]:
            raise ConfigError(f"{name}{IN_A_ROW}{other}: {name} puts out {before[2]} channels, one "
                              f"row for {before[3]} samples, {other} takes {after[0]} and "
                              f"{after[1]}")


def task_of_model(model: Model, name: str, method: str | None = None) -> Task:
    """From the layers of a method, None: the main one; the weights play no part. Of several that
    are played in a row, such as "encode+decode", all of them."""
    method = method or model.main.name
    names, rate = method.split(IN_A_ROW), model.sample_rate_hz
    specs = [model.methods[key] for key in names]
    _check_row(names, [(s.in_channels, s.in_ratio, s.out_channels, s.out_ratio) for s in specs])
    works: list[Work] = []
    for key, spec in zip(names, specs, strict=True):
        graph = model.graph(key)
        fused = _fused(graph)
        works += [replace(_work(op, op_cost(op, rate / spec.in_ratio), op.output.index in fused,
                                key if len(names) > 1 else ""), same_as=back) for op, back in
                  zip(graph.ops, repeats(op.weights_key for op in graph.ops), strict=True)]
    graphs = {key: model.graph(key) for key in model.methods}
    scratch = max(_alive(g, model.methods[key].in_frames) / model.methods[key].ratio
                  for key, g in graphs.items())

    def instance(samples: int) -> tuple[int, int]:
        rings = sum(_rings(g, samples / model.methods[key].in_ratio) for key, g in graphs.items())
        return ceil(scratch * samples), ceil(rings)

    operations = sum(len([op for op in g.ops if not KINDS[op.kind].is_view]) - len(_fused(g))
                     for g in graphs.values())
    start = sum(op.state_count for key, g in graphs.items() if model.starts_at_rest(key)
                for op in g.ops)
    return Task(name, method, rate, lcm(*(s.ratio for s in specs)),
                sum(s.lookahead_samples for s in specs), tuple(works), instance,
                model.parameter_count, operations, start_numbers=start,
                is_mono=_is_mono(specs), struck=by_graph(specs[0], graphs[names[0]]))


def _is_mono(specs: list[Any]) -> bool:
    return [(s.in_channels, s.in_ratio, s.out_channels, s.out_ratio) for s in specs] == [(1,) * 4]


def _rings(graph: Graph, in_frames: float) -> float:
    """Numbers of the state: a ring keeps its past and a block's rows, twice over where the past is
    the longer, so that rows always lie in a line."""
    total = 0.0
    for op in graph.ops:
        if op.state_count:
            block = op.inputs[0].channels * in_frames / float(op.inputs[0].ratio)
            total += (op.state_count + block) * (2 if op.state_count > block else 1)
    return total


def _fused(graph: Graph) -> set[int]:
    """Values of activations and sums that the runtime works out within the convolution before."""
    uses = Counter(value.index for op in graph.ops for value in op.inputs)
    uses[graph.output.index] += 1
    found, ends = set(), set()
    for op in graph.ops:
        if KINDS[op.kind].is_convolution:
            ends.add(op.output.index)
        elif KINDS[op.kind].fuses and any(v.index in ends and uses[v.index] == 1
                                          for v in op.inputs):
            ends.add(op.output.index)
            found.add(op.output.index)
    return found


def _work(op: Op, cost: OpCost, fused: bool, method: str = "") -> Work:
    kind = KINDS[op.kind]
    # One reading of a transposed convolution's weights makes a row for every phase.
    rows = cost.frame_rate_hz * min(1.0, float(op.output.ratio / op.inputs[0].ratio))
    numbers = cost.frame_rate_hz * cost.out_channels
    act = op.attributes.get("activation")  # of a gate
    each = (kind.output_cost + (ACTS[act].cost if act else 0)
            + kind.input_cost * cost.in_channels // cost.out_channels)
    weight = op.weights.get("weight")
    # One filter for each channel: shape [out, 1, kernel].
    depthwise = op.kind == "conv1d" and weight is not None and weight.shape[1] == 1 \
        and cost.out_channels == cost.in_channels > 1
    return Work(op.name, op.kind, cost.macs_per_second, rows, op.weight_count, op.state_count,
                numbers if kind.is_convolution else 0.0, each * numbers,
                0.0 if fused or kind.is_convolution or kind.is_view else numbers,
                _heads(op, cost) if kind.is_convolution or kind.is_recurrent else 0, depthwise,
                loop_calls_per_second=rows if op.loop and not kind.is_view else 0.0,
                exact=op.attributes.get("exact", False), method=method)


def _heads(op: Op, cost: OpCost) -> int:
    """Numbers of an operation's biases; a transposed convolution has one for every phase."""
    bias = sum(w.size for name, w in op.weights.items() if name.startswith("bias"))
    return bias or cost.out_channels


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


def task_of_file(file: NativeFile, method: str | None = None) -> Task:
    """From the op table of a native file's method, None: the main one; of several in a row as
    above."""
    names = [file.chosen(name) for name in (method.split(IN_A_ROW) if method else [None])]
    specs, tables = [file.methods[name] for name in names], [file.ops(name) for name in names]
    _check_row(names, [(s.in_channels, s.in_ratio, s.out_channels, s.out_ratio) for s in specs])
    # That of any weights which are not float32: some layers stay so in every number format.
    dtype = FORMATS[max((op.dtype for table in tables for op in table), default=0)]
    works = [_work_of_file(op, file.sample_rate_hz / spec.frame_samples, dtype,
                           name if len(names) > 1 else "")
             for name, spec, table in zip(names, specs, tables, strict=True) for op in table]
    places = repeats((op.weights_offset,) if op.weights_bytes else () for t in tables for op in t)
    works = [replace(work, same_as=back) for work, back in zip(works, places, strict=True)]

    frame = max(m.frame_samples for m in file.methods.values())

    def instance(samples: int) -> tuple[int, int]:
        width, calls = STATE_BYTES[dtype], ceil(samples / frame)  # what does not grow is no scratch
        one, two = (sum(m[:2]) - m[2] for m in (file.memory(1, n * frame) for n in (1, 2)))
        return (two - one) * calls // width, file.memory(1, samples)[2] // width
    size = file.path.stat().st_size if file.path.exists() else None
    return Task(file.name, IN_A_ROW.join(names), file.sample_rate_hz,
                lcm(*(s.frame_samples for s in specs)), sum(s.latency_samples for s in specs),
                tuple(works), instance, max(sum(w.weights for w in works if not w.same_as),
                (size or 0) // 4), sum(len(file.ops(m)) for m in file.methods), size, dtype,
                is_mono=_is_mono(specs), struck=by_table(specs[0], tables[0]))


def _work_of_file(op: OpInfo, frames: float, dtype: str, method: str) -> Work:
    """`frames` per second; `dtype` of the file."""
    convolution = CORE[op.kind].is_convolution
    heads, numbers = op.out_channels * op.phases, op.rows * op.out_channels
    # The runtime's own count: MACs, what each number costs, 100 for the operation.
    act = max(0, op.cost - op.macs - 100 - _PASSES * numbers)
    return Work(op.name, op.kind, op.macs * frames, op.rows / op.phases * frames,
                _numbers(op, heads), op.state_bytes // _FLOAT_BYTES,
                numbers * frames if convolution else 0.0, act * frames,
                0.0 if convolution or op.kind == "copy" else numbers * frames,
                heads if convolution else 0, op.kind == "depthwise", (dtype, op.weights_bytes),
                op.steps * frames,
                # In a float32 file nothing tells which would stay so in another format.
                exact=convolution and op.dtype == 0 and dtype != FLOAT32,
                method=method, stretches=tuple((at, size) for at, size in (
                    (op.weights_offset, op.weights_bytes), (op.params_offset, op.params_bytes))
                    if size))


def _numbers(op: OpInfo, heads: int) -> int:
    """Weights and biases, about: what a file holds is padded."""
    head = ceil(heads / 16) * 16
    if op.dtype == 0:
        return op.weights_bytes // _FLOAT_BYTES
    if op.dtype == 1:
        return heads + (op.weights_bytes - _FLOAT_BYTES * head) // 2
    return heads + (op.weights_bytes - _HEAD_BYTES * head) // (op.dtype - 1)
