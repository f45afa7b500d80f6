"""Where each weight of a preset lies in its native file: NAME.places, written by scripts/ship.py.

The order is found by exporting the same shape with a number of its own for every weight. What the
native file of a model of loops does not hold as it is, NAME.places holds itself. Weights stand
nowhere else in a checkout: what was written is read again and compared.
"""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from engine.description import Description
from engine.models.base import Model
from engine.models.loops import LoopModel
from engine.models.shipped import bits_of, pack_places
from engine.players.native_model import NativeFile, NativeModel
from export.native.export import compile_programs, lower

FIRST = 0x40800001  # bits after those of 4.0: ordinary values that nothing else has
MOST_STARTS = 1000  # that are tried for a tensor


def places(native: Path, model: Model) -> bytes:
    """The .places file beside `native`, which was exported from `model`."""
    description = Description.from_json(NativeFile(native).metadata, str(native))
    shipped, positions = native.read_bytes(), _positions(native, model, description)
    words = np.frombuffer(shipped[: len(shipped) // 4 * 4], "<u4")
    kept, found = [], []
    parts = np.split(positions, np.cumsum([v.numel() for v in model.state_dict().values()])[:-1])
    for (key, values), places in zip(model.state_dict().items(), parts, strict=True):
        lies = _found(words, places, bits_of([values]))
        if lies is None:
            kept.append(key)
        else:
            found.append(lies)
    if kept and not isinstance(model, LoopModel):
        raise SystemExit(f"{native.name}: a weight is not in the native file as it is: {kept[0]}")
    return pack_places(shipped, model.state_dict(), np.concatenate(found), kept)


def _positions(native: Path, model: Model, description: Description) -> NDArray[np.int64]:
    """Of each weight in order the word of the native file; -1 for what is not there."""
    marked = deepcopy(model).eval()
    count = 0
    for values in marked.state_dict().values():
        numbers = np.arange(count, count + values.numel(), dtype=np.uint32) + np.uint32(FIRST)
        values.copy_(torch.from_numpy(numbers.view(np.float32)).reshape(values.shape))
        count += values.numel()
    marked.changed()
    programs = lower({m: marked.graph(m) for m in description.methods}, description)
    file = compile_programs(programs, description, starts_like(native))
    numbers = np.frombuffer(file[: len(file) // 4 * 4], "<u4").astype(np.int64) - FIRST
    found = np.flatnonzero((numbers >= 0) & (numbers < count))
    positions = np.full(count, -1, np.int64)
    positions[numbers[found][::-1]] = found[::-1]  # the first of several
    # Weights lie at the end; what is told before them may have been of another length.
    positions[positions >= 0] += (native.stat().st_size - len(file)) // 4
    return positions


def _found(words: NDArray[np.uint32], places: NDArray[np.int64], bits: NDArray[np.uint32]
           ) -> NDArray[np.int64] | None:
    """Where the file holds a tensor's `bits`: at `places`, or as far from each other as those; None
    where it does not. (What two operations have in common a file holds once, so that what stands
    behind it moves.)"""
    if (places < 0).any():
        return None
    telling = int(np.argmax(bits != 0))
    starts = np.flatnonzero(words == bits[telling])[:MOST_STARTS] - places[telling]
    for shift in (0, *starts):
        moved = places + shift
        if moved.min() >= 0 and moved.max() < len(words) and np.array_equal(words[moved], bits):
            return moved
    return None


def starts_like(native: Path) -> dict[str, bytes]:
    """As many bytes as each method's start in the file has, of a kind that no weight is."""
    model = NativeModel.open(native)
    starts = {name: model.save_start(name) for name in model.methods}
    return {name: bytes([1 + number]) * len(start)
            for number, (name, start) in enumerate(starts.items()) if any(start)}
