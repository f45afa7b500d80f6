"""Trained model -> native file `NAME.tudor`: fused, packed, laid out; plays without PyTorch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from engine.description import Attribute, Description, Method, role_by_name
from engine.files import atomic_write
from engine.graph import Graph
from engine.models.base import Model
from engine.models.rest import silence
from engine.ops import core_op
from engine.players import native_format as fmt
from engine.players.native_model import NativeFile, NativeModel
from export.native.file import FileWriter, clean, seal
from export.native.graph import Lowering
from export.native.loop import check_loop, loop_of
from export.native.nodes import Node, Program, View
from export.native.plan import Plan, plan, state_words


def export_native(model: Model, path: Path, description: Description) -> None:
    """Write `model` to `path`."""
    programs = lower({m: model.graph(m) for m in description.methods}, description)
    write_native(path, compile_model(model, programs, description))


def compile_model(model: Model, programs: Mapping[str, Program], description: Description) -> bytes:
    """The lowered methods of `model` as the bytes of a native file, with the state in which each
    starts: what is left in the file's own arithmetic when it has played silence."""
    data = compile_programs(programs, description)
    heard = {name: silence(model, name) for name in programs}
    starts = {}
    for name, x in heard.items():
        if x is not None:
            player = NativeModel(NativeFile.from_bytes(data, description.name))
            player.process(name, x.cpu().float().numpy())
            starts[name] = _undrawn(player.save_start(name), programs[name])
    return compile_programs(programs, description, starts) if starts else data


def _undrawn(start: bytes, program: Program) -> bytes:
    """State in which no noise has been drawn yet."""
    words = np.frombuffer(start, np.uint8).copy()
    first, _ = state_words(program.nodes)
    for node in program.nodes:
        core = core_op(node.kind)
        if core is not None and core.draws:
            words[4 * first[id(node)] :][: 4 * node.state_words] = 0
    return words.tobytes()


def read_description(path: Path) -> Description:
    """The description inside a file."""
    return Description.from_json(NativeFile(path).metadata, str(path))


def write_description(path: Path, description: Description) -> None:
    """Replace the description in `path`; all else stays."""
    write_native(path, with_metadata(path.read_bytes(), description.to_json()))


def write_native(path: Path, data: bytes) -> None:
    """Check the bytes of a native file as its loader does, then write them."""
    NativeFile.from_bytes(data, path.name)
    with atomic_write(path) as temporary:
        temporary.write_bytes(data)


def with_metadata(data: bytes, metadata: str) -> bytes:
    """The file with other metadata: appended to the text, and sections behind it moved."""
    header = fmt.unpack("header", data, fmt.record_bytes("prefix"))
    text_at, text_bytes = int(header["text"]), int(header["text_bytes"])
    weights = data[int(header["weights"]) : int(header["weights"]) + int(header["weights_bytes"])]
    old = int(header["metadata"])
    text = data[text_at : text_at + text_bytes]
    end = text.index(b"\0", old) + 1
    if end == text_bytes:  # it is the last string: replaced, so that files do not grow
        text = text[:old]
    header["metadata"] = len(text)
    text += metadata.encode("utf-8") + b"\0"
    body = data[:text_at] + text
    body += bytes(-len(body) % fmt.constants()["ALIGN"])
    header.update(text_bytes=len(text), weights=len(body))
    first = fmt.record_bytes("prefix")
    size = fmt.record_bytes("header")
    return seal(body[:first] + fmt.pack("header", **header) + body[first + size :] + weights)


def compile_graphs(graphs: Mapping[str, Graph], description: Description) -> bytes:
    """All methods of a model as the bytes of a native file, in float32."""
    return compile_programs(lower(graphs, description), description)


def lower(graphs: Mapping[str, Graph], description: Description) -> dict[str, Program]:
    """Every method as native operations."""
    return {name: Lowering(graph, description.methods[name].in_frames).run()
            for name, graph in graphs.items()}


def compile_programs(programs: Mapping[str, Program], description: Description,
                     starts: Mapping[str, bytes] | None = None) -> bytes:
    """Lowered methods, whatever their number formats, as the bytes of a native file. `starts`: the
    state in which a method starts, of those that do not from zeros."""
    writer = FileWriter()
    attributes = {name: _attribute(writer, a) for name, a in description.attributes.items()}
    for name, program in programs.items():
        start = (starts or {}).get(name, b"")
        _method(writer, description.methods[name], program, attributes, start)
    return writer.finish(description.name, description.to_json(), description.sample_rate_hz)


def _attribute(writer: FileWriter, attribute: Attribute) -> int:
    defaults = np.full(attribute.size, attribute.default, np.float32)
    return writer.add(
        "attribute", name=writer.text(attribute.name), label=writer.text(attribute.help),
        count=attribute.size, defaults=writer.weights(defaults), minimum=attribute.minimum,
        maximum=attribute.maximum,
    )


def _method(
    writer: FileWriter, spec: Method, program: Program, attributes: dict[str, int], start: bytes
) -> None:
    check_loop(program, spec.name)
    layout = plan(program)
    first = {kind: len(writer.records[kind]) for kind in ("op", "value", "buffer")}
    for buffer in layout.buffers:
        rows = "ROWS_INT16" if buffer.root.scale else "ROWS_FLOAT32"
        writer.add("buffer", rows=buffer.root.rows, row_stride=buffer.row_stride,
                   history=buffer.history, bulk=buffer.bulk and buffer.history > 0,
                   arena_offset=0 if buffer.history else buffer.arena_offset,
                   type=fmt.constants()[rows], scale=buffer.root.scale)
    values = _Values(writer, layout)
    words, word_count = state_words(program.nodes)
    source, output = values.index(program.input), values.index(program.output)
    first_looped, looped, loop_rows = loop_of(program)
    for node in program.nodes:
        _op(writer, node, values, attributes, words.get(id(node), 0))
    writer.add(
        "method", name=writer.text(spec.name), in_channels=spec.in_channels,
        in_ratio=spec.in_ratio, out_channels=spec.out_channels, out_ratio=spec.out_ratio,
        frame_samples=spec.ratio, latency_samples=spec.lookahead_samples, input_value=source,
        output_value=output, first_op=first["op"], ops_count=len(program.nodes),
        first_value=first["value"], values_count=values.count, first_buffer=first["buffer"],
        buffers_count=len(layout.buffers), arena_bytes=layout.arena_bytes, state_words=word_count,
        loop_first=first_looped, loop_ops=looped, loop_rows=loop_rows,
        in_labels=writer.text("\n".join(spec.input_labels)),
        out_labels=writer.text("\n".join(spec.output_labels)), role=_role(spec),
        start=1 + writer.raw(np.frombuffer(start, np.uint8)) if start else 0,
    )


def _role(spec: Method) -> int:
    """Nothing where the name says it already, so that a runtime from before plays the file."""
    return 0 if spec.role == role_by_name(spec.name) else fmt.roles()[spec.role]


class _Values:
    """Value records of a method, each view once."""

    def __init__(self, writer: FileWriter, layout: Plan) -> None:
        self._writer, self._layout = writer, layout
        self._known: dict[tuple[int, ...], int] = {}

    @property
    def count(self) -> int:
        return len(self._known)

    def index(self, view: View | None) -> int:
        if view is None:
            return fmt.constants()["NONE"]
        fields = self._layout.value(view)
        key = tuple(fields.values())
        if key not in self._known:
            self._known[key] = len(self._known)
            self._writer.add("value", **fields)
        return self._known[key]


def _op(
    writer: FileWriter, node: Node, values: _Values, attributes: dict[str, int], state: int
) -> None:
    none = fmt.constants()["NONE"]
    fields: dict[str, float] = {"kernel": 1, "stride": 1, "dilation": 1, "groups": 1, "phases": 1}
    fields.update(node.params)
    try:
        packed = node.packed()
        if packed is not None:
            fields.update(weights=writer.raw(packed), weights_bytes=packed.size,
                          dtype=fmt.constants()[f"DTYPE_{node.dtype.upper()}"])
        params = none if node.extra is None else writer.weights(clean(node.extra))
    except ValueError as error:
        raise ValueError(f"{node.name}: {error}") from None
    out = View(node.out, 0, node.out.channels)
    writer.add(
        "op", kind=fmt.ops()[node.kind], in_a=values.index((node.inputs or [out])[0]),
        in_b=values.index(node.inputs[1] if len(node.inputs) > 1 else None),
        pre=values.index(node.pre), post=values.index(node.post),
        out=values.index(out), act=fmt.acts()[node.act],
        slope=node.slope, gate=node.gate, params=params,
        attr_a=attributes.get(node.attributes.get("attr_a", ""), none),
        attr_b=attributes.get(node.attributes.get("attr_b", ""), none), state=state,
        attr_seed=1 + attributes.get(node.attributes.get("attr_seed", ""), -1),
        name=writer.text(node.name), **fields,
    )
