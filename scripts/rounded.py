"""Rounds a preset's weights to nine significant bits, so that a wheel with it stays small.

    python scripts/rounded.py NAME

NAME.safetensors is written anew; then NAME.tudor has to be exported from it. Numbers whose last
bits are zero pack: 32 bits to some 16. What that does to sound: docs/presets.md.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from engine.files import atomic_write
from engine.presets import preset_path

STORED = 8  # bits of a significand behind its leading one, of 23


def rounded(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """The nearest numbers of so few bits, the even one of two that are as near."""
    dropped = 23 - STORED
    words = np.ascontiguousarray(values, np.float32).view(np.uint32)
    half = np.uint32((1 << (dropped - 1)) - 1)
    even = (words >> np.uint32(dropped)) & np.uint32(1)
    kept = (words + half + even) >> np.uint32(dropped) << np.uint32(dropped)
    return kept.view(np.float32).reshape(values.shape)


def round_file(path: Path) -> None:
    """All floating-point tensors of a file; what else it holds stays."""
    from safetensors import safe_open
    from safetensors.numpy import save_file

    with safe_open(path, "numpy") as source:
        told, names = source.metadata(), source.keys()
        tensors = {name: source.get_tensor(name) for name in names}
    with atomic_write(path) as temporary:
        save_file({name: rounded(values) if values.dtype == np.float32 else values
                   for name, values in tensors.items()}, temporary, told)


if __name__ == "__main__":
    for name in sys.argv[1:]:
        round_file(preset_path(name).with_suffix(".safetensors"))
