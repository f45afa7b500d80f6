"""Golden files: what each runtime must give, to the bit. Per preset that ships weights, and per
shape in `shapes/` for families of which no preset does:

    PRESET.npz         float32
        description        JSON: family, configuration, methods
        weights            JSON: for each method, operation and weight, which array it is
        array_N            those arrays, each once
        in_METHOD          float32 [channels, rows]
        out_METHOD         float32 [channels, rows]: what the plain C reference gave
    PRESET.bf16w.npz   out_METHOD; the rest is the float32 file's
    PRESET.q16x8.npz   out_METHOD; nodes, array_N: scales and whole numbers, so that no calibration
                       is done anew

Made by `python -m tests.golden.golden [NAME ...]`. A golden file changes only when the arithmetic
is meant to change. So it holds weights as layers have them, not as some version of the file format
packs them; and it holds all of them, for neither torch's random numbers nor the cosines of the
machine that plays it may go in.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.description import Description
from engine.graph import Graph
from engine.models.base import Model
from engine.models.registry import build
from engine.ops import DTYPES
from engine.players.native_model import NativeFile, NativeModel
from engine.presets import shipped_names
from export.native.export import compile_programs, lower
from export.native.forced import Signal
from export.native.fuse import is_exact
from export.native.nodes import CONVS, Integers, Program, outermost
from export.quantise.drawn import record
from export.quantise.scales import cast, find_scales, find_weights
from tests.golden.material import FloatArray, example, with_weights

HERE = Path(__file__).parent
SHAPES = HERE / "shapes"
Programs = dict[str, Program]


@dataclass(frozen=True)
class Golden:
    """A golden file in memory, its model compiled as today's export does."""

    name: str
    dtype: str
    family: str
    exact: frozenset[str]  # operations whose weights no number format rounds
    model: bytes
    inputs: dict[str, FloatArray]
    outputs: dict[str, FloatArray]


def names() -> list[tuple[str, str]]:
    """All golden files: preset or shape, and number format."""
    return sorted((path.stem.partition(".")[0], path.stem.partition(".")[2] or "float32")
                  for path in HERE.glob("*.npz"))


def presets() -> list[str]:
    """Presets that ship weights: those that must have golden files."""
    return shipped_names()


def shapes() -> list[str]:
    """Shapes that ship no weights and have golden files all the same."""
    return sorted(path.stem for path in SHAPES.glob("*.toml"))


def settings_of(name: str) -> dict[str, Any]:
    """The tables of a preset or of a shape in `shapes/`."""
    from engine.models.store import read_settings
    from engine.presets import preset_path

    return read_settings(SHAPES / f"{name}.toml" if name in shapes() else preset_path(name))


def description_of(name: str) -> Description:
    """Of the model that the golden files of a preset or shape hold."""
    return Description.from_json(str(_arrays(name, "float32")["description"]), f"{name}.npz")


@cache
def read(name: str, dtype: str = "float32") -> Golden:
    """A golden file by preset or shape, and number format."""
    parts = _arrays(name, "float32")
    description = description_of(name)
    arrays = {key: parts[f"array_{index}"]
              for key, index in json.loads(str(parts["weights"])).items()}
    graphs = _graphs(build(description.family, description.config), description)
    slots = list(_slots(graphs))
    assert {key for key, _, _ in slots} == set(arrays), f"{name}: layers changed; make it anew"
    for key, weights, part in slots:
        assert weights[part].shape == arrays[key].shape, f"{name}: {key} changed; make it anew"
        weights[part] = arrays[key]
    programs = lower(graphs, description)
    methods, inputs = list(description.methods), parts
    if dtype != "float32":
        parts = _arrays(name, dtype)
        _apply(programs, dtype, parts)
    exact = frozenset(op.name for graph in graphs.values() for op in graph.ops if is_exact(op))
    return Golden(name, dtype, description.family, exact, compile_programs(programs, description),
                  {m: inputs[f"in_{m}"] for m in methods}, {m: parts[f"out_{m}"] for m in methods})


def _arrays(name: str, dtype: str) -> dict[str, NDArray[Any]]:
    with np.load(_path(name, dtype)) as data:
        return {key: data[key] for key in data.files}


def _path(name: str, dtype: str) -> Path:
    return HERE / (f"{name}.npz" if dtype == "float32" else f"{name}.{dtype}.npz")


def _graphs(model: Model, description: Description) -> dict[str, Graph]:
    return {method: model.eval().graph(method) for method in description.methods}


def _slots(graphs: dict[str, Graph]) -> Iterator[tuple[str, dict[str, FloatArray], str]]:
    """Where every weight lies: a name for it, the operation's weights, and its key there."""
    for method, graph in graphs.items():
        for at, op in enumerate(graph.ops):
            for part in op.weights:
                yield f"{method} {at} {op.name} {part}", op.weights, part


# --- number formats ---------------------------------------------------------------------------


def _apply(programs: Programs, dtype: str, parts: dict[str, NDArray[Any]]) -> None:
    """Put a number format into lowered methods: bf16w by rule, q16x8 as kept; no constants."""
    if dtype == "bf16w":
        for program in programs.values():
            for node in program.nodes:
                if node.kind in CONVS and not node.exact:
                    node.dtype = "bfloat16"
        return
    cast(programs, _constants(programs))
    for method, kept in json.loads(str(parts["nodes"])).items():
        nodes = programs[method].nodes
        assert [node.name for node in nodes] == [k["name"] for k in kept], \
            f"{method}: operations changed; make it anew"
        for node, k in zip(nodes, kept, strict=True):
            outermost(node.out)[0].scale = k["scale"]
            node.integers = [
                Integers(tuple(parts[f"array_{i}"] for i in run["planes"]),
                         parts[f"array_{run['step']}"], parts[f"array_{run['bias']}"])
                for run in k["runs"]]
            if node.integers:
                node.dtype = "int8" if len(node.integers[0].planes) == 1 else "int16"


def _constants(programs: Programs) -> set[str]:
    return {node.name for program in programs.values() for node in program.nodes if node.exact}


def _quantise(programs: Programs, model: Model, description: Description,
              inputs: dict[str, FloatArray]) -> dict[str, Any]:
    """What `_apply` wants back. Calibrated with the inputs and what a loop draws from them."""
    import torch

    signals: dict[str, Signal] = {}
    for m, x in inputs.items():
        heard = np.clip(np.nan_to_num(x), -1, 1)
        signals[m] = (record(programs[m], description, m, heard) if programs[m].fed
                      else torch.from_numpy(heard))
    cast(programs, _constants(programs))
    attributes = model.default_attributes()
    find_weights(programs, attributes, signals, find_scales(programs, attributes, signals))
    kept, held = {}, _Arrays()
    for method, program in programs.items():
        kept[method] = [{
            "name": node.name, "scale": outermost(node.out)[0].scale,
            "runs": [{"planes": [held.index(p) for p in run.planes], "step": held.index(run.step),
                      "bias": held.index(run.bias)} for run in node.integers],
        } for node in program.nodes]
    return {"nodes": np.array(json.dumps(kept)), **held.parts}


class _Arrays:
    """Arrays, each once."""

    def __init__(self) -> None:
        self.parts: dict[str, NDArray[Any]] = {}
        self._known: dict[bytes, int] = {}

    def index(self, data: NDArray[Any]) -> int:
        key = f"{data.dtype} {data.shape} ".encode() + data.tobytes()
        at = self._known.setdefault(key, len(self._known))
        self.parts[f"array_{at}"] = data
        return at


# --- making them ------------------------------------------------------------------------------


def make(name: str) -> None:
    """Write the golden files of a preset or a shape, one per number format."""
    from engine.models.store import build_from

    model = with_weights(build_from(settings_of(name)).eval())
    description = model.describe(name)
    inputs = {m: example(spec) for m, spec in description.methods.items()}
    for dtype in DTYPES:
        graphs = _graphs(model, description)
        programs, parts = lower(graphs, description), {}
        if dtype == "float32":
            parts = _float_parts(description, graphs, inputs)
        elif dtype == "q16x8":
            parts = _quantise(programs, model, description, inputs)
        else:
            _apply(programs, dtype, parts)
        file = NativeFile.from_bytes(compile_programs(programs, description), name)
        for method, x in inputs.items():
            parts[f"out_{method}"] = NativeModel(file, isa="ref").process(method, x[None])[0]
        np.savez_compressed(_path(name, dtype), **parts)


def _float_parts(description: Description, graphs: dict[str, Graph],
                 inputs: dict[str, FloatArray]) -> dict[str, Any]:
    held = _Arrays()
    weights = {key: held.index(weights[part]) for key, weights, part in _slots(graphs)}
    return {"description": np.array(description.to_json()),
            "weights": np.array(json.dumps(weights)), **held.parts,
            **{f"in_{m}": x for m, x in inputs.items()}}


if __name__ == "__main__":
    for each in sys.argv[1:] or [*presets(), *shapes()]:
        make(each)
