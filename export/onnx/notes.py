"""A gate and what it holds, in ONNX: what `engine/layers/note.py` says, frame after frame."""

from __future__ import annotations

from typing import Any

from onnx import NodeProto, TensorProto, helper

from engine.graph import Op
from export.onnx.writer import ALL, Writer

THRESHOLD = 0.5  # as in engine/layers/note.py; here nothing is imported that needs PyTorch


def note(w: Writer, op: Op, x: str) -> str:
    was_open, held = w.state((1,)), w.state((op.output.channels,))
    is_open = w.node("Greater", w.slice(x, 0, 1, 1), w.const(THRESHOLD))
    last_open, last, y = _run(w, was_open, held, w.node("Cast", is_open, to=TensorProto.FLOAT),
                              w.slice(x, 1, ALL, 1), float(op.attributes["most"]))
    w.keep(last_open)
    w.keep(last)
    return y


def _run(w: Writer, was_open: str, held: str, is_open: str, values: str, most: float
         ) -> tuple[str, str, str]:
    """The gate and what is held after the block, and what comes out [batch, channels, frames]."""
    def node(kind: str, inputs: list[str], output: str, **more: Any) -> None:
        nodes.append(helper.make_node(kind, inputs, [f"note_{output}"], **more))

    nodes: list[NodeProto] = []
    first, last, end = w.ints(0), w.ints(-1), w.ints(ALL)
    axis = w.ints(1)
    node("Greater", ["note_open", "note_was_open"], "edge")
    node("Slice", ["note_held", first, last, axis], "held_values")
    node("Slice", ["note_held", last, end, axis], "left")
    node("Where", ["note_edge", "note_values", "note_held_values"], "now")
    node("Sub", ["note_left", w.const(1.0)], "less")
    node("Max", ["note_less", w.const(0.0)], "least")
    node("Where", ["note_edge", w.const(most), "note_least"], "rest")
    node("Concat", ["note_now", "note_rest"], "after", axis=1)
    node("Sub", [w.const(most), "note_rest"], "age")
    node("Concat", ["note_now", "note_age"], "out", axis=1)
    node("Identity", ["note_open"], "open_after")
    info = [helper.make_tensor_value_info(f"note_{name}", TensorProto.FLOAT, ["batch", size])
            for name, size in (("was_open", 1), ("held", "held"), ("open", 1), ("values", "values"),
                               ("open_after", 1), ("after", "held"), ("out", "held"))]
    body = helper.make_graph(nodes, "note", info[:4], info[4:])
    found = w.node("Scan", was_open, held, is_open, values, outputs=3, body=body,
                   num_scan_inputs=2, scan_input_axes=[2, 2], scan_output_axes=[2])
    return str(found[0]), str(found[1]), str(found[2])
