"""What offline PyTorch says a file should play."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from engine.models.base import Model

TOLERANCE = 1e-5
Audio = NDArray[np.float32]


def noise(*shape: int, seed: int = 0) -> Audio:
    return (0.3 * np.random.default_rng(seed).standard_normal(shape)).astype(np.float32)


def expected(model: Model, method: str, signal: Audio) -> Audio:
    """Offline PyTorch behind nn~'s sample holders: [batch, channels, samples] on both sides."""
    spec = model.methods[method]
    x = torch.from_numpy(signal[:, :, spec.in_ratio - 1 :: spec.in_ratio].copy())
    y = model.offline(method, x).numpy()
    assert y.shape == (len(signal), spec.out_channels, signal.shape[2] // spec.out_ratio)
    return np.repeat(y, spec.out_ratio, axis=2)


def assert_same(got: Audio, wanted: Audio) -> None:
    assert got.shape == wanted.shape
    assert got.size
    assert np.abs(wanted).max() > 0.01, "nothing to compare"
    assert np.abs(got - wanted).max() <= TOLERANCE
