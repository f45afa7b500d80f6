"""Trained model -> ONNX: one file per method, state as explicit inputs and outputs.

    x               [batch, in_channels, n * in_frames]     the block, any n >= 1
    state_in_0 ...  [batch, ...]                            zeros at the start, or as "start" says
    attribute_NAME  [1, size]                               may be left out: the default;
                    [batch, size]                           where streams differ
    ->  y [batch, out_channels, n * out_frames], state_out_0 ... (same shapes as state_in_*)

`x.onnx` holds `forward`, `x.encode.onnx` and `x.decode.onnx` beside it the others. Every file
carries the whole description of the model as metadata and plays alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from math import lcm
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError
from onnx import ModelProto, TensorProto, helper

from engine.description import METADATA_KEY, Description, Method, main_method
from engine.errors import ModelFileError
from engine.files import atomic_write
from engine.graph import Graph
from engine.models.base import Model
from engine.players.onnx import CHECKSUM_KEY, START_KEY, WEIGHTS_KEY, checksum
from export.onnx.operators import write_graph
from export.onnx.start import start_of
from export.onnx.writer import IR_VERSION, OPSET, tensor_info

_NO_CHECKSUM = "0" * 64
STREAMS = "one_or_batch"  # name of an attribute's first axis


def method_files(path: Path, methods: Mapping[str, Method]) -> dict[str, Path]:
    """The file of each method: `x.onnx` for the main one, `x.METHOD.onnx` for the others."""
    main = main_method(methods).name
    return {m: path if m == main else path.with_name(f"{path.stem}.{m}{path.suffix}")
            for m in methods}


def export_onnx(model: Model, path: Path, description: Description) -> None:
    """Write `model` to `path` and the files of its other methods beside it."""
    files = method_files(path, description.methods)
    for method, file in files.items():
        graph = model.graph(method)
        save_method(build_method(graph, description), file, description, method, files,
                    graph.weight_count * 4)
    write_starts(path, model, description)


def save_method(proto: ModelProto, file: Path, description: Description, method: str,
                files: dict[str, Path], weights_bytes: int) -> None:
    """Write one method's file, the description within; `files` are those of all methods."""
    _set_metadata(proto, _metadata(description, method, files, weights_bytes))
    _save(proto, file)


def write_starts(path: Path, model: Model, description: Description) -> None:
    """Let the files of every method, `path` the main one, say in what state they start."""
    for method, file in method_files(path, description.methods).items():
        proto = _load(file)
        start = start_of(proto, model, method)
        if start:
            told = _properties(proto, file)
            del told[CHECKSUM_KEY]
            _set_metadata(proto, {**told, START_KEY: start, CHECKSUM_KEY: _NO_CHECKSUM})
            _save(proto, file)


def read_description(path: Path) -> Description:
    """The description inside an exported file."""
    return Description.from_json(_properties(_load(path), path)[METADATA_KEY], str(path))


def write_description(path: Path, description: Description) -> None:
    """Replace the description in `path` and in the files of the other methods beside it."""
    files = method_files(path, description.methods)
    for method, file in files.items():
        proto = _load(file)
        told = _properties(proto, file)
        weights, start = int(told[WEIGHTS_KEY]), told.get(START_KEY, "")
        _set_metadata(proto, _metadata(description, method, files, weights, start))
        _save(proto, file)


def build_method(graph: Graph, description: Description,
                 layers: dict[str, str] | None = None) -> ModelProto:
    """One method as an ONNX model without metadata; `layers` is told which node does the work of
    which convolution."""
    writer, out = write_graph(graph, description.attributes)
    if layers is not None:
        layers.update(writer.layers)
    if out == "x" or out.startswith("state_out_"):  # nothing of its own to rename
        out = writer.node("Identity", out)
    writer.rename(out, "y")
    unit = granularity(graph)
    out_unit = unit / graph.output.ratio
    axes = {"x": (graph.input.channels, unit), "y": (graph.output.channels, int(out_unit))}
    x, y = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", channels, _frames(count)])
        for name, (channels, count) in axes.items()
    )
    # An input that is also an initializer may be left out by the host (IR 4 and later).
    optional = [tensor_info(t.name, [STREAMS, t.dims[1]]) for t in writer.defaults.values()]
    proto = helper.make_model(
        helper.make_graph(
            writer.nodes, graph.method, [x, *writer.inputs, *optional], [y, *writer.outputs],
            [*writer.initializers, *writer.defaults.values()],
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        producer_name="nn-tudor",
    )
    proto.ir_version = IR_VERSION
    onnx.checker.check_model(proto)
    return proto


def granularity(graph: Graph) -> int:
    """Input frames of the smallest block: every value of the graph has whole frames."""
    values = [graph.output, *(op.output for op in graph.ops)]
    return lcm(*(value.ratio.numerator for value in values))


def _frames(unit: int) -> str:
    """Name of a time axis, which tells people what its length must be a multiple of."""
    return "frames" if unit == 1 else f"{unit}*frames"


def _metadata(
    description: Description, method: str, files: dict[str, Path], weights_bytes: int,
    start: str = "",
) -> dict[str, str]:
    """Readable properties, and the whole description as JSON."""
    spec = description.methods[method]
    return {
        METADATA_KEY: description.to_json(),
        "name": description.name,
        "method": method,
        "ratio": str(description.ratio),
        "sample_rate_hz": str(description.sample_rate_hz),
        "latency_samples": str(spec.lookahead_samples),
        "in_channels": str(spec.in_channels),
        "in_ratio": str(spec.in_ratio),
        "out_channels": str(spec.out_channels),
        "out_ratio": str(spec.out_ratio),
        "attributes": json.dumps({a.name: [a.default] * a.size
                                  for a in description.attributes.values()}),
        "files": json.dumps({m: file.name for m, file in files.items()}),
        WEIGHTS_KEY: str(weights_bytes),
        **({START_KEY: start} if start else {}),
        CHECKSUM_KEY: _NO_CHECKSUM,
    }


def _properties(proto: ModelProto, path: Path) -> dict[str, str]:
    metadata = {p.key: p.value for p in proto.metadata_props}
    if METADATA_KEY not in metadata:
        raise ModelFileError(f"{path} is an ONNX model, but tudor did not write it (no metadata)")
    return metadata


def _set_metadata(proto: ModelProto, values: dict[str, str]) -> None:
    del proto.metadata_props[:]
    helper.set_model_props(proto, values)


def _save(proto: ModelProto, path: Path) -> None:
    """Write a file whose checksum, in its last metadata property, covers every other byte."""
    data = proto.SerializeToString()
    head, _, tail = data.rpartition(_NO_CHECKSUM.encode())
    digest = checksum(data, _NO_CHECKSUM)
    with atomic_write(path) as temporary:
        temporary.write_bytes(head + digest.encode() + tail)


def _load(path: Path) -> ModelProto:
    try:
        return onnx.load_model(path)
    except OSError as error:
        raise ModelFileError(f"cannot read {path}: {error.strerror or error}") from None
    except (DecodeError, ValueError) as error:
        raise ModelFileError(f"{path} is no ONNX file, or a damaged one ({error})") from None
