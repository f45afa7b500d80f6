"""Weights that lie apart from the file: the same bits, and nothing that is wrong is taken."""

from __future__ import annotations

import numpy as np
import pytest
from engine._native import ffi, lib
from numpy.typing import NDArray

from engine.players import native_format as fmt
from engine.players.native_file import aligned
from engine.players.native_model import NativeFile, NativeModel
from tests.core.native_quantised_cases import QUANTISED
from tests.core.test_native_bits import FLOAT_NAMES, assert_same_bits, play, setting
from tests.firmware.machines import instruction_sets

NAMES = (*FLOAT_NAMES, *QUANTISED)
SPARE = fmt.constants()["ALIGN"]  # bytes behind weights that vector loads may read
Bytes = NDArray[np.uint8]
ERRORS = {"NULL_POINTER": 1, "ALIGNMENT": 2, "CHECKSUM": 8, "WEIGHTS": 19, "BUSY": 28}


def weights_of(file: NativeFile) -> Bytes:
    """The weights section, as it lies in memory."""
    data = np.frombuffer(ffi.buffer(file._data), np.uint8)
    start = int(ffi.cast("uintptr_t", lib.tudor_weights(file.model)))
    header = fmt.unpack("header", bytes(data), fmt.record_bytes("prefix"))
    assert start == data.ctypes.data + int(header["weights"])
    return data[int(header["weights"]) : int(header["weights"]) + int(header["weights_bytes"])]


def stretches(file: NativeFile) -> list[tuple[int, int]]:
    """Offset and bytes of all that ops read, each once."""
    found = {}
    for op in (op for method in file.methods for op in file.ops(method)):
        found[op.weights_offset] = op.weights_bytes
        found[op.params_offset] = max(found.get(op.params_offset, 0), op.params_bytes)
    return sorted((at, size) for at, size in found.items() if size)


def copied(weights: Bytes, at: int, size: int) -> tuple[Bytes, int]:
    end = at + -(-size // SPARE) * SPARE + SPARE
    return aligned(end - at, bytes(weights[at:end])), at


def use(model: NativeModel, parts: list[tuple[Bytes, int]]) -> int:
    listed = ffi.new("tudor_part[]", max(1, len(parts)))
    for to, (copy, at) in zip(listed, parts, strict=False):
        to.at, to.offset, to.bytes = ffi.cast("void *", copy.ctypes.data), at, copy.size
    return int(lib.tudor_use_parts(model._t, listed, len(parts)))


@pytest.mark.parametrize("every", [1, 2])
@pytest.mark.parametrize("name", NAMES)
def test_the_same_bits_from_copies(name: str, every: int) -> None:
    """All of them, or every other one; what the file holds of them is overwritten."""
    file, x = setting(name, 60, batch=2)
    wanted = play(NativeModel(file, batch=2), x, (5, 1))
    for isa in ("ref", *instruction_sets()):
        file, _ = setting(name, 60, batch=2)
        model, weights = NativeModel(file, batch=2, isa=isa), weights_of(file)
        chosen = stretches(file)[::every]
        parts = [copied(weights, at, size) for at, size in chosen]
        assert use(model, parts) == 0
        for at, size in chosen:
            weights[at : at + size] = 0x3F
        assert_same_bits(play(model, x, (5, 1)), wanted)


def test_one_part_may_hold_the_weights_of_several_and_the_file_all_again() -> None:
    file, x = setting("wide", 60)
    wanted = play(NativeModel(file), x, (5, 1))
    model, weights = NativeModel(file), weights_of(file)
    whole = aligned(weights.size, bytes(weights))
    assert use(model, [(whole, 0)]) == 0
    held = weights.copy()
    weights[:] = 0x3F
    assert_same_bits(play(model, x, (5, 1)), wanted)
    weights[:] = held
    whole[:] = 0x3F
    assert use(model, []) == 0
    assert lib.tudor_reset(model._t) == 0
    assert_same_bits(play(model, x, (5, 1)), wanted)


def test_weights_that_are_not_wholly_in_a_part_are_read_in_the_file() -> None:
    file, x = setting("wide", 60)
    wanted = play(NativeModel(file), x, (5, 1))
    model, weights = NativeModel(file), weights_of(file)
    short = [(copy[:-SPARE], at) for copy, at in (copied(weights, *s) for s in stretches(file))]
    assert use(model, short) == 0
    for copy, _ in short:
        copy[:] = 0x3F  # so whoever reads there is heard
    assert_same_bits(play(model, x, (5, 1)), wanted)


def test_parts_that_are_wrong_are_refused_and_change_nothing() -> None:
    file, x = setting("wide", 60)
    wanted = play(NativeModel(file), x, (5, 1))
    model, weights = NativeModel(file), weights_of(file)
    good = copied(weights, *stretches(file)[0])
    other = (good[0].copy(), good[1])
    other = (aligned(good[0].size, bytes(good[0][:-1]) + bytes([good[0][-1] ^ 1])), good[1])
    odd = aligned(good[0].size + 64, bytes(64) + bytes(good[0]))[16:][: good[0].size]
    wrong = {"CHECKSUM": [other], "ALIGNMENT": [(odd, good[1])],
             "WEIGHTS": [(good[0], good[1] + 4)]}
    for at in (weights.size, weights.size - SPARE, 1 << 31, 0xFFFFFFC0):
        wrong[f"WEIGHTS {at}"] = [(aligned(4 * SPARE), at)]
    wrong["WEIGHTS short"] = [(good[0][:-1], good[1])]
    for name, parts in wrong.items():
        assert use(model, [good, *parts]) == ERRORS[name.split()[0]], name
    none = ffi.new("tudor_part[]", 1)
    assert lib.tudor_use_parts(model._t, none, 1) == ERRORS["NULL_POINTER"]
    assert lib.tudor_use_parts(model._t, ffi.NULL, 1) == ERRORS["NULL_POINTER"]
    assert lib.tudor_use_parts(ffi.NULL, none, 0) == ERRORS["NULL_POINTER"]
    assert_same_bits(play(model, x, (5, 1)), wanted)


def test_not_between_two_slices() -> None:
    file, x = setting("wide", 4)
    model = NativeModel(file)
    out = np.zeros((1, file.methods["forward"].out_channels, 4), np.float32)
    model.process_slice("forward", x[:, :, :4], out, 0, 2)
    assert use(model, []) == ERRORS["BUSY"]
