"""A lowered method as an ONNX graph with explicit caches and static shapes, for the suite.

This is the leanest graph there is for ONNX Runtime: one Concat and one Slice for each cache, every
shape known, weights as initialisers. It exists to give ONNX Runtime its best chance; files for
users are written by `export/`. Only the operations that the suite's cases use are known here.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from engine.graph import Graph, Op, Value

OPSET = 17
IR_VERSION = 8


class GraphWriter:
    """Collects nodes of one or several methods into one model."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []
        self.inputs: list[onnx.ValueInfoProto] = []
        self.outputs: list[onnx.ValueInfoProto] = []
        self.states: list[tuple[str, str, tuple[int, ...]]] = []  # in, out, shape with batch

    def method(self, graph: Graph, frames: int) -> None:
        """Append a method that is fed [1, channels, `frames`] per block."""
        self._prefix = f"{graph.method}_"
        self._frames = frames
        name, channels = self._name(graph.input), graph.input.channels
        self.inputs.append(_tensor(name, (1, channels, frames)))
        for op in graph.ops:
            getattr(self, f"_{op.kind}")(op)
        self.outputs.append(_tensor(self._name(graph.output), self._shape(graph.output)))

    def model(self) -> bytes:
        """The finished model."""
        inputs = self.inputs + [_tensor(name, shape) for name, _, shape in self.states]
        outputs = self.outputs + [_tensor(name, shape) for _, name, shape in self.states]
        graph = helper.make_graph(self.nodes, "case", inputs, outputs, self.weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)],
                                  ir_version=IR_VERSION)
        return model.SerializeToString()  # type: ignore[no-any-return]

    # --- names and pieces -------------------------------------------------------------------

    def _name(self, value: Value) -> str:
        return f"{self._prefix}{value.index}"

    def _shape(self, value: Value) -> tuple[int, int, int]:
        return 1, value.channels, int(self._frames / value.ratio)

    def _node(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def _constant(self, name: str, value: NDArray[Any]) -> str:
        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def _state(self, shape: tuple[int, ...]) -> tuple[str, str]:
        index = len(self.states)
        self.states.append((f"state_in_{index}", f"state_out_{index}", shape))
        return self.states[-1][:2]

    # --- operations -------------------------------------------------------------------------

    def _conv1d(self, op: Op) -> None:
        x, y = self._name(op.inputs[0]), self._name(op.output)
        if op.state_shapes:
            channels, cache = op.state_shapes[0]
            before, after = self._state((1, channels, cache))
            joined = self._node("Concat", [before, x], f"{y}_joined", axis=2)
            length = cache + self._shape(op.inputs[0])[2]
            cut = [self._constant(f"{y}_{part}", np.array([number], np.int64))
                   for part, number in (("from", length - cache), ("to", length), ("axis", 2))]
            self._node("Slice", [joined, *cut], after)
            x = joined
        weights = [self._constant(f"{y}_{name}", value) for name, value in op.weights.items()]
        a = op.attributes
        self._node("Conv", [x, *weights], y, kernel_shape=[a["kernel_size"]],
                   strides=[a["stride"]], dilations=[a["dilation"]], group=a["groups"])

    def _leaky_relu(self, op: Op) -> None:
        self._node("LeakyRelu", [self._name(op.inputs[0])], self._name(op.output),
                   alpha=op.attributes["slope"])

    def _tanh(self, op: Op) -> None:
        self._node("Tanh", [self._name(op.inputs[0])], self._name(op.output))

    def _add(self, op: Op) -> None:
        self._node("Add", [self._name(v) for v in op.inputs], self._name(op.output))

    def _lstm(self, op: Op) -> None:
        self._recurrent(op, "LSTM", (0, 3, 1, 2), {})  # i f g o -> i o f c

    def _gru(self, op: Op) -> None:
        self._recurrent(op, "GRU", (1, 0, 2), {"linear_before_reset": 1})  # r z n -> z r h

    def _recurrent(self, op: Op, kind: str, order: tuple[int, ...], extra: dict[str, Any]) -> None:
        y, hidden = self._name(op.output), op.attributes["hidden"]
        w = {name: np.concatenate([np.split(value, len(order))[gate] for gate in order])
             for name, value in op.weights.items()}
        constants = [
            self._constant(f"{y}_w", w["weight_ih"][None]),
            self._constant(f"{y}_r", w["weight_hh"][None]),
            self._constant(f"{y}_b", np.concatenate((w["bias_ih"], w["bias_hh"]))[None]),
        ]
        states = [self._state((1, 1, hidden)) for _ in op.state_shapes]
        x = self._node("Transpose", [self._name(op.inputs[0])], f"{y}_x", perm=[2, 0, 1])
        self.nodes.append(helper.make_node(
            kind, [x, *constants, "", *(before for before, _ in states)],
            [f"{y}_all", *(after for _, after in states)], hidden_size=hidden, **extra))
        # [time, direction, batch, hidden] -> [batch, hidden, time]
        axis = self._constant(f"{y}_direction", np.array([1], np.int64))
        flat = self._node("Squeeze", [f"{y}_all", axis], f"{y}_flat")
        self._node("Transpose", [flat], y, perm=[1, 2, 0])


def _tensor(name: str, shape: tuple[int, ...]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
