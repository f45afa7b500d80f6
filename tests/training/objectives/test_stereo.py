"""Training hears two channels together as well as each by itself."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from engine.models.raw_vae import RawVAE
from engine.models.registry import build
from training.data.base import Shard
from training.objectives.described import grid_of
from training.objectives.held import stretches
from training.objectives.noise_head import listening
from training.objectives.width import middle_and_side, width_score

SHAPE = {"sample_rate_hz": 8000, "latents": 3, "compression": 32, "bands": 8, "widths": [6, 8],
         "dilations": [1]}


def make(**more: Any) -> RawVAE:
    torch.manual_seed(0)
    model = build("raw_vae", {**SHAPE, **more})
    assert isinstance(model, RawVAE)
    return model


def wide(width: float, seed: int, batch: int = 2, samples: int = 8192) -> Tensor:
    """Noise [batch, 2, samples] whose side has `width` times the amplitude of its middle, each
    channel of one level whatever the width."""
    generator = torch.Generator().manual_seed(seed)
    middle, side = 0.1 * torch.randn(2, batch, samples, generator=generator)
    both = torch.stack((middle + width * side, middle - width * side), dim=1)
    return both / (1 + width**2) ** 0.5


def scored(sound: float, target: float) -> float:
    model = make(channels=2)
    late = model.main.lookahead_samples
    draws = tuple(torch.nn.functional.pad(wide(sound, seed), (late, 0))[..., :8192]
                  for seed in (1, 2))
    draws[0].requires_grad_()
    found = width_score(model, draws, wide(target, 3), 1.0)
    assert found is not None
    found.backward()
    return float(found.detach())


def test_noise_of_the_right_width_scores_best() -> None:
    """Each channel is alike in all of these: only together do they differ."""
    for target in (0.2, 1.0):
        right = scored(target, target)
        assert right < scored(0.05, target) - 0.03
        assert right < scored(3.0, target) - 0.03
    assert scored(0.2, 0.2) < scored(1.0, 0.2) - 0.03


def test_sound_in_the_middle_does_not_ask_for_silence_at_the_sides() -> None:
    """What lies 40 dB below the middle costs next to nothing."""
    assert abs(scored(0.01, 0.0) - scored(0.0, 0.0)) < 0.02
    assert scored(0.3, 0.0) > scored(0.0, 0.0) + 0.1


def test_one_channel_has_no_width() -> None:
    assert width_score(make(), (torch.zeros(1, 1, 8192),), torch.zeros(1, 1, 8192), 1.0) is None


def test_middle_and_side_are_half_the_sum_and_half_the_difference() -> None:
    x = wide(1.0, 0)
    middle, side = middle_and_side(x).unbind(dim=1)
    assert torch.allclose(middle + side, x[:, 0], atol=1e-6)
    assert torch.allclose(middle - side, x[:, 1], atol=1e-6)


@pytest.mark.parametrize("width", [0.0, 0.3, 1.0])
def test_frozen_sound_is_as_wide_as_it_was(width: float) -> None:
    model, audio = make(channels=2), wide(width, 5, batch=32)
    z = torch.randn(32, 3, 8192 // 32)
    _, target, _ = stretches(z, audio, grid_of(model), Shard())
    assert target.shape[:2] == (8, 2)
    middle, side = middle_and_side(target).square().mean(dim=(0, 2))
    assert float((side / middle).sqrt()) == pytest.approx(width, abs=0.12)
    left, right = target.square().mean(dim=(0, 2))
    assert float(left) == pytest.approx(float(right), rel=0.2)


def test_shared_noise_counts_in_both_channels() -> None:
    model = make(channels=2, shared_noise=True)
    with listening(model) as levels:
        model.reconstruct(torch.randn(1, 3, 64))
    shares = levels.shares()
    assert shares.shape == (16,)
    assert float(levels.floor().detach()) >= 0
