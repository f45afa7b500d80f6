"""Golden files: what each runtime must give, to the bit. One per preset, `PRESET.npz`:

    description        JSON: family, configuration, methods
    weights            JSON: for each method, operation and weight, which array it is
    array_N            those arrays, each once
    in_METHOD          float32 [channels, rows]
    out_METHOD         float32 [channels, rows]: what the plain C reference gave

Made by `python -m tests.golden.golden [PRESET ...]`. A golden file changes only when the arithmetic
is meant to change. So it holds weights as layers have them, not as some version of the file format
packs them; and it holds all of them, for neither torch's random numbers nor the cosines of the
machine that plays it may go in.
"""

from __future__ import annotations

import json
import sys
import zlib
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
from engine.native import NativeFile, NativeModel
from export.native import compile_graphs

HERE = Path(__file__).parent
PRESETS = ("techno-tiny",)
FRAMES = 24
FloatArray = NDArray[np.float32]


@dataclass(frozen=True)
class Golden:
    """A golden file in memory, its model compiled as today's export does."""

    name: str
    family: str
    model: bytes
    inputs: dict[str, FloatArray]
    outputs: dict[str, FloatArray]


def names() -> list[str]:
    """All golden files."""
    return sorted(path.stem for path in HERE.glob("*.npz"))


@cache
def read(name: str) -> Golden:
    """A golden file by name."""
    with np.load(HERE / f"{name}.npz") as data:
        parts = {key: data[key] for key in data.files}
    description = Description.from_json(str(parts["description"]), f"{name}.npz")
    arrays = {key: parts[f"array_{index}"]
              for key, index in json.loads(str(parts["weights"])).items()}
    graphs = _graphs(build(description.family, description.config), description)
    slots = list(_slots(graphs))
    assert {key for key, _, _ in slots} == set(arrays), f"{name}: layers changed; make it anew"
    for key, weights, part in slots:
        assert weights[part].shape == arrays[key].shape, f"{name}: {key} changed; make it anew"
        weights[part] = arrays[key]
    methods = list(description.methods)
    return Golden(name, description.family, compile_graphs(graphs, description),
                  {m: parts[f"in_{m}"] for m in methods}, {m: parts[f"out_{m}"] for m in methods})


def _graphs(model: Model, description: Description) -> dict[str, Graph]:
    return {method: model.eval().graph(method) for method in description.methods}


def _slots(graphs: dict[str, Graph]) -> Iterator[tuple[str, dict[str, FloatArray], str]]:
    """Where every weight lies: a name for it, the operation's weights, and its key there."""
    for method, graph in graphs.items():
        for at, op in enumerate(graph.ops):
            for part in op.weights:
                yield f"{method} {at} {op.name} {part}", op.weights, part


def hashed(key: str, count: int) -> NDArray[np.uint64]:
    """`count` reproducible 64-bit numbers (the mixer of splitmix64 over a counter)."""
    seed = np.uint64(zlib.crc32(key.encode()) << 32)
    with np.errstate(over="ignore"):
        z = (np.arange(count, dtype=np.uint64) + seed) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def noise(key: str, shape: tuple[int, int]) -> FloatArray:
    """Audio in -1 ... 1 with full mantissas, and what a guard has to catch."""
    x = (hashed(key, shape[0] * shape[1]) >> np.uint64(40)).astype(np.float32) / 2**23 - 1
    x = x.reshape(shape).astype(np.float32)
    x[:, 3], x[:, 5], x[:, 7], x[:, 9] = np.nan, np.inf, 100.0, 1e-42
    x[:, shape[1] // 2 : shape[1] // 2 + 3] = 0
    return x


def _weights(key: str, shape: tuple[int, ...]) -> FloatArray:
    """Weights of 15 levels, so that the file stays small; audio brings the odd mantissas."""
    count = int(np.prod(shape))
    levels = (hashed(key, count) % np.uint64(15)).astype(np.float32) - 7
    fan_in = count / shape[0] if len(shape) > 1 else 400.0
    scale = 2.0 ** np.floor(np.log2(0.25 / np.sqrt(fan_in)))  # the levels spread over 4.3
    return (levels * scale).astype(np.float32).reshape(shape)


def make(name: str) -> None:
    """Write the golden file of a preset."""
    import torch

    from engine.models.store import build_from, read_settings
    from engine.presets import preset_path

    model = build_from(read_settings(preset_path(name))).eval()
    for key, parameter in model.named_parameters():
        parameter.data = torch.from_numpy(_weights(key, tuple(parameter.shape)))
    description = model.describe(name)
    graphs = _graphs(model, description)
    file = NativeFile.from_bytes(compile_graphs(graphs, description), name)
    parts: dict[str, NDArray[Any]] = {"description": np.array(description.to_json())}
    arrays: dict[bytes, int] = {}
    weights: dict[str, int] = {}
    for key, held, part in _slots(graphs):
        data = held[part]
        weights[key] = arrays.setdefault(repr(data.shape).encode() + data.tobytes(), len(arrays))
        parts[f"array_{weights[key]}"] = data
    parts["weights"] = np.array(json.dumps(weights))
    for method, spec in file.methods.items():
        rows = FRAMES * spec.frame_samples // spec.in_ratio
        x = noise(method, (spec.in_channels, rows))
        parts[f"in_{method}"] = x
        parts[f"out_{method}"] = NativeModel(file, isa="ref").process(method, x[None])[0]
    np.savez_compressed(HERE / f"{name}.npz", **parts)


if __name__ == "__main__":
    for preset in sys.argv[1:] or PRESETS:
        make(preset)
