"""Layers as nn~ plays them: traced with their state, in operators that its LibTorch has."""

from __future__ import annotations

import pytest
import torch

from engine.layers import (
    CausalAttention,
    Exp,
    Harmonics,
    LayerNorm,
    Log,
    PitchTrack,
    RMSNorm,
    Softplus,
    Spectrum,
    Sqrt,
    Streaming,
)
from export.nn.operators import OPERATORS, operators

LAYERS: dict[str, Streaming] = {
    "exp": Exp(3), "log": Log(3, 0.2), "sqrt": Sqrt(3, 0.1), "softplus": Softplus(3),
    "rms_norm": RMSNorm(3), "layer_norm": LayerNorm(3),
    "attention": CausalAttention(3, 3, 4),
    "pitch_track": PitchTrack(16, 16000.0, 100, 40, 0.7),
    "pitch_track_decimated": PitchTrack(16, 48000.0, 100, 40, 0.7),
    "spectrum": Spectrum(128, 8, 1e-3),
    "harmonics": Harmonics(4, 10, 16000.0, 7, (100.0, 900.0), (-1.0, 1.0)),
}


@pytest.mark.parametrize("kind", LAYERS)
def test_a_traced_layer_plays_the_same_in_known_operators(kind: str) -> None:
    layer = LAYERS[kind].eval().requires_grad_(False)
    generator = torch.Generator().manual_seed(0)
    first, other = (torch.randn(b, layer.in_channels, n * layer.granularity, generator=generator)
                    for b, n in ((1, 8), (2, 13)))
    state = layer.init_state(1)
    traced = torch.jit.trace(layer, (first, state), strict=False)
    unknown = set(operators(traced.inlined_graph)) - OPERATORS
    assert not unknown, sorted(unknown)
    wanted, after = layer(other, layer.init_state(2))
    got, held = traced(other, layer.init_state(2))
    assert all(torch.equal(a, b) for a, b in zip(held, after, strict=True))
    assert got.shape == wanted.shape
    assert torch.equal(got, wanted)
    assert len(held) == len(after)


def test_an_operator_that_nn_lacks_is_seen() -> None:
    class Odd(Exp):
        def function(self, x: torch.Tensor) -> torch.Tensor:
            return torch.special.exp2(x)

    traced = torch.jit.trace(Odd(3), (torch.zeros(1, 3, 4), ()), strict=False)
    assert set(operators(traced.inlined_graph)) - OPERATORS
