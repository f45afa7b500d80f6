"""A preset's weights as PyTorch has them, read from the native file that it ships with.

A native float32 file holds every weight bit by bit, only in another order: NAME.places tells in
which (`scripts/ship.py` writes it), so that weights are shipped once. It is LZMA of a line of
JSON {"file": SHA-256 of NAME.tudor, "tensors": [[name, shape], ...]} and then, for each weight in
order, how many 32-bit words further in the file it lies than the one before (int32). What no player
needs, or needs only as what was worked out of it, is not there: "kept": [name, ...] has the names
of such tensors, and their numbers follow (float32: all lowest bytes, all second ones, and so on).
"""

from __future__ import annotations

import hashlib
import json
import lzma
from collections.abc import Collection, Iterable, Mapping
from math import prod
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.description import Description, Latent
from engine.errors import ModelFileError


def shipped_weights(native: Path, places: Path | None = None
                    ) -> tuple[dict[str, Tensor], tuple[Latent, ...]]:
    """The weights by name that `native` (NAME.tudor, with NAME.places beside it or at `places`) was
    made from, and what it says of the latents."""
    from engine.players.native_model import NativeFile

    places_path = places or native.with_suffix(".places")
    try:
        raw, packed = native.read_bytes(), places_path.read_bytes()
        line, rest = lzma.decompress(packed).split(b"\n", 1)
        told = json.loads(line)
        kept = set(told.get("kept", ()))
        sizes = {name: prod(shape) for name, shape in told["tensors"]}
        end = 4 * sum(size for name, size in sizes.items() if name not in kept)
        positions = np.cumsum(np.frombuffer(rest[:end], "<i4"), dtype=np.int64)
        more = np.frombuffer(rest[end:], np.uint8).reshape(4, -1).T
    except OSError as error:
        raise ModelFileError(f"{error.filename}: {error.strerror}") from None
    except (lzma.LZMAError, ValueError) as error:
        raise ModelFileError(f"{places_path} is damaged: {error}") from None
    if hashlib.sha256(raw).hexdigest() != told["file"]:
        raise ModelFileError(f"{places_path} belongs to another {native.name}: install again")
    words = np.frombuffer(raw[: len(raw) // 4 * 4], "<u4")
    given = {False: _floats(words[positions]),
             True: _floats(np.ascontiguousarray(more).view("<u4"))}
    at, tensors = {False: 0, True: 0}, {}
    for name, shape in told["tensors"]:
        apart = name in kept
        part = given[apart][at[apart] : at[apart] + sizes[name]]
        tensors[name] = part.reshape(shape).clone()
        at[apart] += sizes[name]
    file = NativeFile(native)
    return tensors, Description.from_json(file.metadata, str(native)).latents


def _floats(words: NDArray[np.uint32]) -> Tensor:
    return torch.from_numpy(words.astype(np.uint32).ravel().view(np.float32))


def pack_places(native: bytes, tensors: Mapping[str, Tensor], positions: NDArray[np.int64],
                kept: Collection[str] = ()) -> bytes:
    """A .places file; `positions`: of all weights in order but those of `kept`, in words of
    `native`."""
    words = np.frombuffer(native[: len(native) // 4 * 4], "<u4")
    bits = bits_of(values for name, values in tensors.items() if name not in kept)
    if len(positions) != len(bits) or not np.array_equal(words[positions], bits):
        raise ValueError("the native file does not hold these weights where it was told")
    told = {"file": hashlib.sha256(native).hexdigest(),
            "tensors": [[name, list(t.shape)] for name, t in tensors.items()],
            **({"kept": [name for name in tensors if name in kept]} if kept else {})}
    deltas = np.diff(positions, prepend=0).astype("<i4").tobytes()
    more = bits_of(tensors[name] for name in tensors if name in kept)
    planes = more.astype("<u4").view(np.uint8).reshape(-1, 4).T.tobytes()
    return lzma.compress(json.dumps(told).encode() + b"\n" + deltas + planes, preset=9)


def bits_of(tensors: Iterable[Tensor]) -> NDArray[np.uint32]:
    """The numbers of tensors, one after the other, as words [numbers]."""
    parts = [values.detach().numpy().ravel().view(np.uint32) for values in tensors]
    return np.concatenate([np.zeros(0, np.uint32), *parts])
