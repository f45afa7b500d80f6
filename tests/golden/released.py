"""What the files that are shipped play: for each, and each of its methods, the SHA-256 of what the
plain C reference makes of the golden input, as float32 in rows of channels.

Golden files hold weights of their own; this is about the very files. They change with a preset's
weights, so a digest is enough. Written anew by `python -m tests.golden.released`.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine.description import Description
from engine.ops import DTYPES
from engine.players.native_model import NativeFile, NativeModel
from engine.presets import shipped_names, shipped_native
from tests.golden.material import example

DIGESTS = Path(__file__).parent / "released.json"


def released() -> dict[str, Path]:
    """Every native file that is shipped, by its name."""
    found = [shipped_native(name, dtype) for name in shipped_names() for dtype in DTYPES]
    return {path.name: path for path in found if path is not None}


def inputs(path: Path) -> dict[str, NDArray[np.float32]]:
    """What its methods are played with: the same as golden files hold."""
    told = Description.from_json(NativeFile(path).metadata, path.name)
    return {method: example(spec) for method, spec in told.methods.items()}


def digest(audio: NDArray[np.float32]) -> str:
    return hashlib.sha256(np.ascontiguousarray(audio, "<f4").tobytes()).hexdigest()


def played(path: Path, isa: str = "ref") -> dict[str, str]:
    """Digests of what its methods play."""
    file = NativeFile(path)
    return {method: digest(NativeModel(file, isa=isa).process(method, x[None])[0])
            for method, x in inputs(path).items()}


if __name__ == "__main__":
    DIGESTS.write_text(json.dumps({name: played(path) for name, path in released().items()},
                                  indent=1) + "\n", "utf-8")
