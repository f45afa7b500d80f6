"""A preset's weights as PyTorch has them, read from the native file that it ships with.

A native float32 file holds every weight bit by bit, only in another order: NAME.places tells in
which (`scripts/places.py` writes it), so that weights are shipped once. It is LZMA of a line of
JSON {"file": SHA-256 of NAME.tudor, "tensors": [[name, shape], ...]} and then, for each weight in
order, how many 32-bit words further in the file it lies than the one before (int32).
"""

from __future__ import annotations

import hashlib
import json
import lzma
from collections.abc import Mapping
from math import prod
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.description import Description, Latent
from engine.errors import ModelFileError


def shipped_weights(native: Path) -> tuple[dict[str, Tensor], tuple[Latent, ...]]:
    """The weights by name that `native` (NAME.tudor, with NAME.places beside it) was made from, and
    what it says of the latents."""
    from engine.players.native_model import NativeFile

    places_path = native.with_suffix(".places")
    try:
        raw, packed = native.read_bytes(), places_path.read_bytes()
        line, deltas = lzma.decompress(packed).split(b"\n", 1)
        told = json.loads(line)
        positions = np.cumsum(np.frombuffer(deltas, "<i4"), dtype=np.int64)
    except OSError as error:
        raise ModelFileError(f"{error.filename}: {error.strerror}") from None
    except (lzma.LZMAError, ValueError) as error:
        raise ModelFileError(f"{places_path} is damaged: {error}") from None
    if hashlib.sha256(raw).hexdigest() != told["file"]:
        raise ModelFileError(f"{places_path} belongs to another {native.name}: install again, or "
                             "run scripts/places.py in a checkout")
    words = np.frombuffer(raw[: len(raw) // 4 * 4], "<u4")
    values = torch.from_numpy(words[positions].astype(np.uint32).view(np.float32))
    sizes = [prod(shape) for _, shape in told["tensors"]]
    parts = torch.split(values, sizes)
    tensors = {name: part.reshape(shape).clone()
               for (name, shape), part in zip(told["tensors"], parts, strict=True)}
    file = NativeFile(native)
    return tensors, Description.from_json(file.metadata, str(native)).latents


def pack_places(native: bytes, tensors: Mapping[str, Tensor],
                positions: NDArray[np.int64]) -> bytes:
    """A .places file; `positions`: of all weights in order, in words of `native`."""
    words = np.frombuffer(native[: len(native) // 4 * 4], "<u4")
    bits = np.concatenate([t.detach().numpy().ravel().view(np.uint32) for t in tensors.values()])
    if len(positions) != len(bits) or not np.array_equal(words[positions], bits):
        raise ValueError("the native file does not hold these weights where it was told")
    told = {"file": hashlib.sha256(native).hexdigest(),
            "tensors": [[name, list(t.shape)] for name, t in tensors.items()]}
    deltas = np.diff(positions, prepend=0).astype("<i4").tobytes()
    return lzma.compress(json.dumps(told).encode() + b"\n" + deltas, preset=9)
