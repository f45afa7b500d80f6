"""Writes NAME.places beside every shipped NAME.tudor: where each weight of NAME.safetensors lies.

    python scripts/places.py

Run it when a preset's weights or the native format have changed. The order is found by exporting
the same shape with a number of its own for every weight.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from engine.description import Description
from engine.files import atomic_write
from engine.models.shipped import pack_places
from engine.models.store import build_from, load_model
from engine.players.native_model import NativeFile, NativeModel
from engine.presets import preset_names, shipped_native
from export.native.export import compile_programs, lower

FIRST = 0x40800001  # bits after those of 4.0: ordinary values that nothing else has


def places(name: str) -> bytes:
    """The .places file of a preset."""
    native = shipped_native(name)
    if native is None:
        raise SystemExit(f"{name} ships no native file")
    stored = load_model(name, native.with_suffix(".safetensors"))
    description = Description.from_json(NativeFile(native).metadata, str(native))
    marked = build_from(stored.settings).eval()
    count = 0
    for values in marked.state_dict().values():
        numbers = np.arange(count, count + values.numel(), dtype=np.uint32) + np.uint32(FIRST)
        values.copy_(torch.from_numpy(numbers.view(np.float32)).reshape(values.shape))
        count += values.numel()
    programs = lower({m: marked.graph(m) for m in description.methods}, description)
    file = compile_programs(programs, description, starts_like(native))
    numbers = np.frombuffer(file[: len(file) // 4 * 4], "<u4").astype(np.int64) - FIRST
    found = np.flatnonzero((numbers >= 0) & (numbers < count))
    positions = np.full(count, -1, np.int64)
    positions[numbers[found][::-1]] = found[::-1]  # the first of several
    if (positions < 0).any():
        raise SystemExit(f"{name}: a weight is not in the native file as it is")
    shipped = native.read_bytes()
    # Weights lie at the end; what is told before them may have been of another length.
    positions += (len(shipped) - len(file)) // 4
    return pack_places(shipped, stored.model.state_dict(), positions)


def starts_like(native: Path) -> dict[str, bytes]:
    """As many bytes as each method's start in the file has, of a kind that no weight is."""
    model = NativeModel.open(native)
    starts = {name: model.save_start(name) for name in model.methods}
    return {name: bytes([1 + number]) * len(start)
            for number, (name, start) in enumerate(starts.items()) if any(start)}


def main() -> None:
    for name in preset_names():
        native = shipped_native(name)
        if native is None:
            continue
        with atomic_write(native.with_suffix(".places")) as temporary:
            temporary.write_bytes(places(name))
        print(f"{name}.places written")


if __name__ == "__main__":
    main()
