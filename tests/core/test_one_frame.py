"""Blocks of one frame have kernels of their own where panels are whole strips: every instruction
set gives the reference's bits there, in every number format."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch

from engine.layers import (
    Conv1d,
    GatedUnit,
    LeakyReLU,
    Parallel,
    Residual,
    Sequence,
    Streaming,
    Tanh,
)
from engine.players.native_model import NativeFile, NativeModel
from export.native.export import compile_graphs
from tests.core.native_cases import describe, graph_of, method_of, noise
from tests.core.native_quantised_cases import FORMS, compiled
from tests.core.test_native_bits import assert_same_bits, play
from tests.firmware.machines import instruction_sets

FRAMES = 40


def _plain() -> Streaming:
    """Panels of 64, 48, 32 and 16 outputs, with each activation, and with something added."""
    return Sequence(
        Conv1d(2, 64, 3), LeakyReLU(64), Residual(Conv1d(64, 64, 2, dilation=3), Tanh(64)),
        Conv1d(64, 48, 2), Tanh(48), Residual(Conv1d(48, 48, 1)), Conv1d(48, 160, 1),
        LeakyReLU(160), Conv1d(160, 16, 3), Conv1d(16, 112, 1), Tanh(112), Conv1d(112, 2, 1))


def _gated() -> Streaming:
    """Gates of 32, 16 and 8 outputs a panel, whose sums two convolutions make together."""
    return Sequence(
        Conv1d(2, 48, 3), Parallel(Conv1d(48, 96, 2, dilation=2), Conv1d(48, 96, 3)), GatedUnit(96),
        Conv1d(48, 128, 2), GatedUnit(128, "linear"), Residual(Conv1d(64, 80, 2), GatedUnit(80),
                                                               Conv1d(40, 64, 1)),
        Parallel(Conv1d(64, 32, 1), Sequence(Conv1d(64, 16, 3), Tanh(16), Conv1d(16, 32, 1))),
        GatedUnit(32), Conv1d(16, 3, 1))


NETS = {"plain": _plain, "gated": _gated}


@cache
def _file(name: str, form: str) -> bytes:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        net = NETS[name]().eval().requires_grad_(False)
        for parameter in net.parameters():
            if parameter.ndim == 1:
                parameter.add_(0.1 * torch.randn_like(parameter))
    graph, description = graph_of(net), describe(method_of(net))
    return compiled(graph, description, form) if form else compile_graphs({"forward": graph},
                                                                         description)


@pytest.mark.parametrize("form", ["", *FORMS])
@pytest.mark.parametrize("name", NETS)
def test_one_frame_has_the_reference_s_bits(name: str, form: str) -> None:
    file = NativeFile.from_bytes(_file(name, form))
    x = noise(2, FRAMES)
    wanted = NativeModel(file, isa="ref").process("forward", x)
    assert len(instruction_sets()) > 1
    for isa in instruction_sets():
        assert_same_bits(play(NativeModel(file, isa=isa), x, (1,)), wanted)


@pytest.mark.parametrize("form", ["", *FORMS])
def test_what_is_broken_gives_the_same_bits(form: str) -> None:
    """Infinite, not a number, and for whole numbers as loud as floats can be."""
    x = noise(2, FRAMES)
    if form not in ("", "bf16w"):
        x[0, :, 3] = 3e38
        x[0, :, 9] = -3e38
    x[0, 0, 15] = np.inf
    x[0, 1, 16] = np.nan
    for name in NETS:
        file = NativeFile.from_bytes(_file(name, form))
        wanted = NativeModel(file, isa="ref").process("forward", x)
        for isa in instruction_sets():
            got = play(NativeModel(file, isa=isa), x, (1,))
            assert got.size > 0
            assert np.array_equal(got.view(np.uint32), wanted.view(np.uint32)), (name, isa)
