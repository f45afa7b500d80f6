"""Numbers that a native file keeps of each operation, and which of them nobody trained: tables that
are known, and biases that are worked out of weights when a file is written."""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np
from engine._native import ffi, lib
from numpy.typing import NDArray

from engine.players.native_model import NativeFile

Floats = NDArray[np.float32]
# Tables of ages and how an onset opens, of strokes and notes; of a flow the table of its steps, or
# biases and shares of a single one.
NOT_TRAINED = re.compile(r"told/.*/embed|sound/.*/conv_transpose1d|"
                         r"loop/net/0/branch1/branch1/1/(embed|step0_(\d+|share)/conv1d)")
BIASES = re.compile(r".*/step0_\d+/conv1d")
# Shipped files from before these were rounded from float64: what float32 had lost of them.
LAST_PLACES = 8


class Kept(NamedTuple):
    """Numbers of an operation where they lie in a file of float32, and how many outputs it has."""

    name: str
    outputs: int
    numbers: Floats


def kept(file: NativeFile) -> list[Kept]:
    start, found = int(ffi.cast("uintptr_t", lib.tudor_weights(file.model))), []
    for method in file.methods:
        for op in file.ops(method):
            for at, size in ((op.weights_offset, op.weights_bytes),
                             (op.params_offset, op.params_bytes)):
                if size:
                    place = ffi.buffer(ffi.cast("char *", start + at), size)
                    found.append(Kept(op.name, op.out_channels, np.frombuffer(place, np.float32)))
    return found


def take_other_places(shipped: NativeFile, again: NativeFile) -> set[str]:
    """Fails unless every trained number of `again`, which is no file but in memory, is that of
    `shipped` to the bit, and the others but for their last places, which it is given. Whose those
    were."""
    found = set()
    for was, now in zip(kept(shipped), kept(again), strict=True):
        assert (was.name, was.numbers.size) == (now.name, now.numbers.size)
        other = np.flatnonzero(was.numbers.view(np.uint32) != now.numbers.view(np.uint32))
        if not other.size:
            continue
        assert NOT_TRAINED.fullmatch(was.name), f"{was.name}: {other.size} other weights"
        if BIASES.fullmatch(was.name):  # they lie ahead of the weights
            assert other.max() < was.outputs, f"{was.name}: other weights"
        unit = np.spacing(np.abs(was.numbers).max())
        assert np.abs(was.numbers - now.numbers).max() <= LAST_PLACES * unit, was.name
        now.numbers[:] = was.numbers
        found.add(was.name)
    return found
