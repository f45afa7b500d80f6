"""Only the first streams of a batch: they play on as they would have, the others stand still."""

from __future__ import annotations

import numpy as np
import pytest
from engine._native import ffi, lib

from engine.players.native_model import NativeFile, NativeModel
from tests.core.native_cases import case, noise

CASES = ["long_history", "tapped", "lstm", "loop"]  # rings, noise, words, a loop
NULL_POINTER, ARGUMENT, BUSY = 1, 25, 28


def play(model: NativeModel, x: np.ndarray, slices: int = 0) -> np.ndarray:
    """A block of the streams in use, of which the model may have more."""
    spec = model.methods["forward"]
    samples = x.shape[2] * spec.in_ratio
    out = np.zeros((len(x), spec.out_channels, samples // spec.out_ratio), np.float32)
    data = ffi.from_buffer("float[]", x), ffi.from_buffer("float[]", out)
    for number in range(slices or 1):
        code = lib.tudor_process_slice(model._t, spec.index, *data, samples, number, slices) \
            if slices else lib.tudor_process(model._t, spec.index, *data, samples)
        assert code == 0
    return out


@pytest.mark.parametrize("slices", [0, 1, 5])
@pytest.mark.parametrize("name", CASES)
def test_the_first_ones_play_on_and_the_others_stand_still(name: str, slices: int) -> None:
    file = NativeFile.from_bytes(case(name))
    spec = file.methods["forward"]
    rows = 6 * spec.frame_samples // spec.in_ratio
    x = noise(spec.in_channels, 3 * rows, 2) * np.float32(0.5)
    blocks = [np.ascontiguousarray(x[:, :, i * rows:(i + 1) * rows]) for i in range(3)]
    both, some = NativeModel(file, batch=2), NativeModel(file, batch=2)
    whole = [play(both, block, slices) for block in blocks]
    assert np.array_equal(play(some, blocks[0], slices), whole[0])
    assert lib.tudor_use_streams(some._t, 1) == 0
    first = play(some, blocks[1][:1].copy(), slices)
    assert first.shape[0] == 1
    assert np.abs(first).max() > 1e-3, "silence proves nothing"
    assert np.array_equal(first.view(np.uint32), whole[1][:1].view(np.uint32))
    assert lib.tudor_use_streams(some._t, 2) == 0
    # The second has not heard the block in between.
    still = NativeModel(file, batch=2)
    play(still, blocks[0], slices)
    wanted = play(still, blocks[2], slices)
    got = play(some, blocks[2], slices)
    assert np.array_equal(got[0], whole[2][0])
    assert np.array_equal(got[1], wanted[1])
    assert not np.array_equal(got[1], whole[2][1])


def test_one_stream_costs_half_of_two() -> None:
    model = NativeModel(NativeFile.from_bytes(case("lstm")), batch=2)
    samples = 4 * model.methods["forward"].frame_samples
    two = model.slice_costs("forward", samples, 1)[1]
    assert lib.tudor_use_streams(model._t, 1) == 0
    assert model.slice_costs("forward", samples, 1)[1] == two // 2


def test_mistakes_are_refused() -> None:
    model = NativeModel(NativeFile.from_bytes(case("lstm")), batch=2)
    assert lib.tudor_use_streams(ffi.NULL, 1) == NULL_POINTER
    assert lib.tudor_use_streams(model._t, 0) == ARGUMENT
    assert lib.tudor_use_streams(model._t, 3) == ARGUMENT
    x = noise(2, 8, 2)
    model.process_slice("forward", x, np.zeros((2, 1, 8), np.float32), 0, 4)
    assert lib.tudor_use_streams(model._t, 1) == BUSY
