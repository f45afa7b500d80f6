"""A loop of the graph as an ONNX `Loop`: its body is the smallest block, row after row.

With one rate that is one row. With several, each operation stands in the body as often as it takes
a step there, at the place where the C runtime would run it (`export/native/loop.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from math import lcm

from onnx import TensorProto, helper

from engine.graph import Graph, Op, Value
from engine.ops import KINDS
from export.onnx.writer import ALL, Writer, tensor_info

Emit = dict[str, Callable[..., str]]


class Body(Writer):
    """The nodes of the loop's body. Constants and attributes are the outer graph's; states come
    from the step before."""

    def __init__(self, outer: Writer) -> None:
        super().__init__(outer.attributes)
        self.prefix = "loop_"
        self.initializers, self.defaults = outer.initializers, outer.defaults
        self.layers, self._constants = outer.layers, outer._constants
        self.held: dict[str, list[str]] = {}  # operation -> its states
        self._given: list[str] = []
        self._kept: list[str] = []

    def state(self, shape: tuple[int, ...]) -> str:
        return self._given.pop(0)

    def keep(self, value: str) -> None:
        self._kept.append(value)

    def step(self, op: Op, emit: Emit, inputs: list[str]) -> str:
        """One step of an operation."""
        self._given, self._kept = list(self.held[op.name]), []
        out = emit[op.kind](self, op, *inputs)
        self.held[op.name] = self._kept
        return out


class Rows:
    """Which name holds which row of a value, within the block of the body."""

    def __init__(self, graph: Graph, body: Body, iteration: str) -> None:
        self.graph, self.body, self.iteration = graph, body, iteration
        self.ops = graph.loop
        self.made_by = {op.output.index: op for op in self.ops}
        fastest = min(op.output.ratio for op in self.ops)
        slower = [op.output.ratio / fastest for op in self.ops]
        if any(q.denominator != 1 for q in slower):
            raise ValueError(f"{graph.method}: rates in a loop must divide its fastest")
        self.count = lcm(*(int(q) for q in slower))  # rows of the fastest in a block
        self.fastest = fastest
        self._rows: dict[int, list[str]] = {}

    def per_block(self, value: Value) -> int:
        """Rows of a value in a block."""
        rows = self.count * self.fastest / value.ratio
        if rows.denominator != 1:
            raise ValueError(f"{self.graph.method}: a loop reads rows slower than its own")
        return int(rows)

    def enter(self, value: Value, name: str) -> None:
        """A value from outside: the part of it that belongs to this block."""
        count, w = self.per_block(value), self.body
        start = w.node("Mul", self.iteration, w.ints(count))
        end = w.node("Add", start, w.ints(count))
        self.write(value, w.node("Slice", name, start, end, w.ints(2)), count)

    def write(self, value: Value, name: str, count: int) -> None:
        """`count` more rows of a value."""
        rows = self._rows.setdefault(value.index, [])
        if count == 1:
            rows.append(name)
        else:
            rows += self.body.node("Split", name, axis=2, num_outputs=count, outputs=count)

    def row(self, value: Value, number: int) -> str:
        """Name of one row [batch, channels, 1]; negative numbers count back from the block."""
        op = self.made_by.get(value.index)
        if op is None or not KINDS[op.kind].is_late:
            return self._rows[value.index][number]
        late, source = self._late(op)
        if number >= late:
            return self.row(source, number - late)
        past = self.body.held[op.name][0]  # [batch, channels, late]
        return past if late == 1 else self.body.slice(past, number, number + 1, 2)

    def _late(self, op: Op) -> tuple[int, Value]:
        if op.kind == "delay":
            return op.attributes["frames"], op.inputs[0]
        return 1, self.made_by[op.attributes["source"]].output

    def joined(self, value: Value, first: int, count: int) -> str:
        """Some rows as one tensor."""
        names = [self.row(value, number) for number in range(first, first + count)]
        return names[0] if count == 1 else str(self.body.node("Concat", *names, axis=2))

    def next_past(self, op: Op) -> str:
        """What a late operation remembers after the block."""
        late, source = self._late(op)
        count = self.per_block(source)
        if count >= late:
            return self.joined(source, count - late, late)
        past = self.body.slice(self.body.held[op.name][0], count, ALL, 2)
        return str(self.body.node("Concat", past, self.joined(source, 0, count), axis=2))


def write_loop(
    writer: Writer, graph: Graph, names: dict[int, str], emit: Emit
) -> dict[int, str]:
    """Append the loop to `writer`; `names` of values made before it. Returns those of values that
    are read after it."""
    body = Body(writer)
    ops = graph.loop
    states = _enter_states(writer, body, ops)
    iteration = body.node("Reshape", "loop_iteration", body.ints(1))
    rows = Rows(graph, body, iteration)
    inside = {op.output.index for op in ops}
    outside = {v.index: v for op in ops if op.kind != "feed" for v in op.inputs
               if v.index not in inside}
    for index, value in outside.items():
        rows.enter(value, names[index])
    for row in range(rows.count):
        for op in ops:
            _run(rows, body, op, row, emit)
    for op in ops:
        if KINDS[op.kind].is_late:
            body.held[op.name] = [rows.next_past(op)]
    wanted = _read_outside(graph)
    return _append(writer, body, rows, ops, states, wanted, names)


def _enter_states(writer: Writer, body: Body, ops: tuple[Op, ...]) -> list[str]:
    """States of all operations as inputs of the method, in the order of the operations."""
    states = []
    for op in ops:
        body.held[op.name] = []
        for shape in op.state_shapes:
            states.append(writer.state(shape))
            body.held[op.name].append(f"loop_state_{len(states) - 1}")
    return states


def _run(rows: Rows, body: Body, op: Op, row: int, emit: Emit) -> None:
    """An operation, if it takes a step in this row."""
    if KINDS[op.kind].is_late:
        return
    per_input, per_output = rows.per_block(op.inputs[0]), rows.per_block(op.output)
    steps = min(per_input, per_output)
    period = rows.count // steps
    if (row + 1) % period:
        return
    step, width = row // period, per_input // steps
    inputs = [rows.joined(value, step * width, width) for value in op.inputs]
    rows.write(op.output, body.step(op, emit, inputs), per_output // steps)


def _read_outside(graph: Graph) -> list[Value]:
    """Values of the loop that something after it reads, or that are the output."""
    read = {index for op in graph.ops if not op.loop for index in op.reads()}
    read.add(graph.output.index)
    return [op.output for op in graph.loop if op.output.index in read]


def _append(writer: Writer, body: Body, rows: Rows, ops: tuple[Op, ...], states: list[str],
            wanted: list[Value], names: dict[int, str]) -> dict[int, str]:
    """The loop's node, and its outputs as the rest of the graph wants them."""
    shapes = [shape for op in ops for shape in op.state_shapes]
    scanned = [rows.joined(value, 0, rows.per_block(value)) for value in wanted]
    go_on = body.node("Identity", "loop_condition")
    ends = [body.node("Identity", name) for op in ops for name in body.held[op.name]]
    scanned = [body.node("Identity", name) for name in scanned]
    scalar = [helper.make_tensor_value_info("loop_iteration", TensorProto.INT64, []),
              helper.make_tensor_value_info("loop_condition", TensorProto.BOOL, [])]
    carried = [tensor_info(f"loop_state_{i}", ["batch", *s]) for i, s in enumerate(shapes)]
    outputs = [helper.make_tensor_value_info(go_on, TensorProto.BOOL, [])]
    outputs += [tensor_info(name, ["batch", *s]) for name, s in zip(ends, shapes, strict=True)]
    outputs += [tensor_info(name, ["batch", value.channels, rows.per_block(value)])
                for name, value in zip(scanned, wanted, strict=True)]
    block = helper.make_graph(body.nodes, "loop", [*scalar, *carried], outputs)
    clock = next(op for op in ops if op.kind == "feed").inputs[0]
    time = writer.node("Shape", names[clock.index], start=2, end=3)
    trips = writer.node("Squeeze", writer.node("Div", time, writer.ints(rows.per_block(clock))),
                        writer.ints(0))
    made = writer.node("Loop", trips, "", *states, outputs=len(states) + len(wanted),
                       body=block)
    for name in made[: len(states)]:
        writer.keep(name)
    found = {}
    for value, name in zip(wanted, made[len(states) :], strict=True):
        # [blocks, batch, channels, rows] -> [batch, channels, time]
        turned = writer.node("Transpose", name, perm=[1, 2, 0, 3])
        found[value.index] = writer.node("Reshape", turned, writer.ints(0, value.channels, -1))
    return found
