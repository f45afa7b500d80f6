"""Slices of a loop with a slow tier: the rows in which it is due cost more, and slices cut them.
Counted instructions of an emulated Cortex-M7."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from engine.layers import (
    Conv1d,
    ConvTranspose1d,
    LogisticMixture,
    Loop,
    Parallel,
    Past,
    Sequence,
    Tanh,
)
from engine.players.native_model import NativeFile, NativeModel
from export.native.export import compile_graphs
from firmware.host.play import play
from tests.core.loop_cases import attributes_of
from tests.core.native_cases import describe, graph_of, method_of, noise
from tests.firmware.machines import assert_same_bits, machine

STEP, SLOW, FAST = 16, 24, 8
# Block in samples, slices, and the most that a slice may take over an even one. Cut between rows
# alone, the third took 1.48 and the last, a slice for each sample, 6.6 by its costs.
CASES = [(16, 3, 1.25), (32, 4, 1.2), (32, 8, 1.2), (64, 8, 1.2), (16, 16, 1.45)]


@pytest.fixture(scope="module")
def file() -> bytes:
    """A tier that steps once for 16 samples and then costs as much as 8 of them."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        tier = Sequence(Conv1d(1, SLOW, 2 * STEP, stride=STEP), Tanh(SLOW),
                        Conv1d(SLOW, SLOW, 3), Tanh(SLOW), Conv1d(SLOW, SLOW, 3), Tanh(SLOW),
                        ConvTranspose1d(SLOW, FAST, STEP, STEP), Past(FAST, STEP - 1))
        net = Sequence(Parallel(tier, Conv1d(1, FAST, 4)), Tanh(FAST), Conv1d(FAST, 12, 1))
        loop = Loop(net, LogisticMixture(4))
    return compile_graphs({"forward": graph_of(loop)},
                          describe(method_of(loop), attributes_of(loop)))


@pytest.mark.parametrize(("block", "slices", "most"), CASES)
def test_no_slice_takes_much_more_than_others(block, slices, most, file):
    x = noise(1, 192)[0]
    frames = block // STEP
    there = play(machine("m7"), file, x, method="forward", frames=(frames,), slices=slices,
                 count="calls")
    assert_same_bits(there.audio, NativeModel(NativeFile.from_bytes(file)).process(
        "forward", x[None])[0])
    assert there.calls is not None
    assert there.calls.calls == 192 // block * slices
    taken = there.calls.worst * there.calls.calls / there.calls.total
    assert 1.0 <= taken < most
    worst, total = NativeModel(NativeFile.from_bytes(file)).slice_costs("forward", block, slices)
    assert worst * slices / total == pytest.approx(taken, rel=0.2)  # what the runtime says of it


@pytest.mark.parametrize("slices", [1, 3, 7, 48, 300])
def test_any_number_of_slices_gives_the_same_bits(slices, file):
    x = noise(1, 192)
    wanted = NativeModel(NativeFile.from_bytes(file)).process("forward", x)[0]
    model, got = NativeModel(NativeFile.from_bytes(file)), []
    for at in range(0, 192, 48):
        block, out = np.ascontiguousarray(x[:, :, at : at + 48]), np.zeros((1, 1, 48), "f4")
        for i in range(slices):
            model.process_slice("forward", block, out, i, slices)
        got.append(out[0])
    assert_same_bits(np.concatenate(got, axis=1), wanted)
