"""Collects the nodes, constants, states and attributes of one method as an ONNX graph."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from onnx import NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from engine.description import Attribute

# 18 is the first opset with BitwiseAnd and BitwiseXor, which the counter-based noise needs; nothing
# here needs a later one. ONNX Runtime reads it since 1.14 (IR 8), so 1.20 has room to spare.
OPSET = 18
IR_VERSION = 8

ALL = np.iinfo(np.int64).max  # "to the end" in Slice


class Writer:
    """Collects nodes, constants, state and attribute inputs of one method."""

    def __init__(self, attributes: dict[str, Attribute]) -> None:
        self.attributes = attributes
        self.nodes: list[NodeProto] = []
        self.inputs: list[ValueInfoProto] = []
        self.outputs: list[ValueInfoProto] = []
        self.initializers: list[TensorProto] = []
        self.defaults: dict[str, TensorProto] = {}
        self.layers: dict[str, str] = {}  # operation -> its convolution's node
        self.prefix = ""  # of names
        self._constants: dict[tuple[str, tuple[int, ...], bytes], str] = {}

    def const(self, value: Any, dtype: Any = np.float32, name: str = "const") -> str:
        """Name of an initializer with this value; equal small constants are stored once."""
        array = np.array(value, dtype=dtype, order="C")  # a scalar stays one
        key = (array.dtype.str, array.shape, array.tobytes())
        if key not in self._constants:
            unique = f"{name}_{len(self._constants)}"
            self.initializers.append(numpy_helper.from_array(array, unique))
            self._constants[key] = unique
        return self._constants[key]

    def ints(self, *values: int) -> str:
        """Name of a one-dimensional int64 constant."""
        return self.const(values, np.int64, "ints")

    def node(self, kind: str, *inputs: str, outputs: int = 1, **attributes: Any) -> Any:
        """Append a node; its output's name, or a list of them when `outputs` > 1."""
        at = len(self.nodes)
        names = [f"{self.prefix}{kind.lower()}_{at}" + (f"_{i}" if i else "")
                 for i in range(outputs)]
        self.nodes.append(helper.make_node(kind, list(inputs), names, f"{self.prefix}n{at}",
                                           **attributes))
        return names[0] if outputs == 1 else names

    def state(self, shape: tuple[int, ...]) -> str:
        """A new state input [batch, *shape]."""
        name = f"state_in_{len(self.inputs)}"
        self.inputs.append(tensor_info(name, ["batch", *shape]))
        return name

    def keep(self, value: str) -> None:
        """`value`, fresh from the last node that made it, is the state after the block."""
        name = f"state_out_{len(self.outputs)}"
        source = self.inputs[len(self.outputs)]
        self.outputs.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, None))
        self.outputs[-1].type.CopyFrom(source.type)
        self.rename(value, name)

    def rename(self, old: str, new: str) -> None:
        """Give the value `old` another name, wherever a node makes or reads it."""
        _rename(self.nodes, old, new)

    def attribute(self, name: str, axes: int = 2) -> str:
        """The values of an attribute, float [1 or batch, size] and then axes of length 1, `axes`
        in all. The input that carries them may be left out: then they are the defaults."""
        tensor = f"attribute_{name}"
        if name not in self.defaults:
            spec = self.attributes[name]
            value = np.full((1, spec.size), spec.default, np.float32)
            self.defaults[name] = numpy_helper.from_array(value, tensor)
        if axes == 2:
            return tensor
        return str(self.node("Unsqueeze", tensor, self.ints(*range(2, axes))))

    def slice(self, x: str, start: int, stop: int, axis: int) -> str:
        """x[start:stop] along `axis`."""
        return self.node("Slice", x, self.ints(start), self.ints(stop), self.ints(axis))

    def remember(self, x: str, channels: int, frames: int) -> str:
        """The last `frames` frames of the past before `x`; the past becomes that of the result."""
        whole = self.node("Concat", self.state((channels, frames)), x, axis=2)
        self.keep(self.slice(whole, -frames, ALL, 2))
        return whole


def _rename(nodes: Iterable[NodeProto], old: str, new: str) -> None:
    for node in nodes:
        for names in (node.input, node.output):
            for i, name in enumerate(names):
                if name == old:
                    names[i] = new
        for attribute in node.attribute:  # the body of a loop sees the names outside
            _rename(attribute.g.node, old, new)


def tensor_info(name: str, shape: list[int | str]) -> ValueInfoProto:
    """Name and shape of a float32 tensor."""
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
