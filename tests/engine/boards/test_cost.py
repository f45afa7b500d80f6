"""Costs of operations and methods, against numbers worked out by hand."""

from __future__ import annotations

import pytest

from engine.boards.cost import described_cost, method_cost
from engine.graph import Builder
from engine.layers import GRU, Conv1d, ConvTranspose1d, LeakyReLU, Sequence
from engine.models.store import load_model


def lowered(layer, channels=1):
    build = Builder("forward", channels)
    return build.finish(layer.lower(build, build.input))


def test_convolution_by_hand():
    cost = method_cost(lowered(Conv1d(2, 6, 5, stride=4), 2), 1000.0)
    (op,) = cost.ops
    assert op.macs_per_second == 2 * 6 * 5 * 250  # once per output frame, 250 of them a second
    assert op.weights_bytes == 4 * (2 * 6 * 5 + 6)
    assert op.state_bytes == 4 * 2 * (5 - 4)
    assert op.frame_rate_hz == 250
    assert (op.in_channels, op.out_channels) == (2, 6)


def test_chain_up_and_down_by_hand():
    chain = Sequence(Conv1d(1, 4, 2, stride=2), LeakyReLU(4), ConvTranspose1d(4, 1, 4, 2))
    cost = method_cost(lowered(chain), 100.0)
    assert [op.macs_per_second for op in cost.ops] == [8 * 50, 0, 16 * 50]
    assert [op.frame_rate_hz for op in cost.ops] == [50, 50, 100]
    assert cost.macs_per_second == 24 * 50
    assert cost.macs_per_block(0.5) == 12 * 50
    assert cost.weights_bytes == 4 * (8 + 4 + 16 + 1)
    assert cost.state_bytes == 4 * 4


def test_recurrence_by_hand():
    cost = method_cost(lowered(GRU(3, 8), 3), 10.0)
    assert cost.macs_per_second == 10 * 3 * 8 * (3 + 8)
    assert cost.state_bytes == 4 * 8


def test_described_cost_equals_the_models_own():
    model = load_model("techno-tiny").model
    for name, method in model.methods.items():
        own = method_cost(model.graph(name), model.sample_rate_hz / method.in_ratio)
        assert described_cost(model.describe("x"), name) == own
        assert own.macs_per_second > 0


def test_unknown_operation():
    build = Builder("forward", 1)
    with pytest.raises(ValueError, match="unknown operation 'fft'"):
        build.op("fft", build.input)
