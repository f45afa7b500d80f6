"""The native runtime against PyTorch: error against float64 at most four times that of float32."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.layers import Streaming
from engine.players.native_model import NativeFile, NativeModel
from tests.core.native_cases import NETS, file_of, net
from tests.engine.layers.stacks import signal, stack

FLOOR = 2e-6  # relative: below this both are as good as float32 gets


def errors(layers: Streaming, frames: int, seed: int) -> tuple[float, float]:
    """Largest error of native and of float32 PyTorch against float64, relative to the peak."""
    x = signal(layers, frames, 2, torch.float32, seed) * 0.5
    with torch.no_grad():
        exact = copy.deepcopy(layers).double().offline(x.double()).numpy()
        single = layers.offline(x).numpy()
    model = NativeModel(NativeFile.from_bytes(file_of(layers)), batch=2)
    native = model.process("forward", x.numpy())
    assert native.shape == exact.shape
    assert native.size > 0
    scale = max(1.0, float(np.abs(exact).max()))
    return (float(np.abs(native - exact).max()) / scale,
            float(np.abs(single - exact).max()) / scale)


@pytest.mark.parametrize("name", NETS)
def test_cases_are_as_exact_as_pytorch(name: str) -> None:
    native, single = errors(net(name), 64, 1)
    assert native <= max(4 * single, FLOOR), (native, single)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(layers=stack(), frames=st.integers(1, 40), seed=st.integers(0, 99))
def test_random_stacks_are_as_exact_as_pytorch(layers: Streaming, frames: int, seed: int) -> None:
    native, single = errors(layers, frames, seed)
    assert native <= max(4 * single, FLOOR), (native, single)


def test_a_wrong_weight_is_seen() -> None:
    """The comparison itself: one weight off by a thousandth must fail it."""
    layers = copy.deepcopy(net("wide"))
    file = file_of(layers)
    x = signal(layers, 16, 1, torch.float32)
    next(layers.parameters()).data[0, 0, 0] += 1e-3
    native = NativeModel(NativeFile.from_bytes(file)).process("forward", x.numpy())
    with torch.no_grad():
        assert np.abs(native - layers.offline(x).numpy()).max() > 1e-5
