"""Latents are brought into range without changing a sound."""

from __future__ import annotations

import pytest
import torch

from engine.models.registry import build
from training.latents import LARGEST, factors, in_range

CONFIG = {"latents": 3, "bands": 4, "compression": 16, "widths": (8, 6), "dilations": (1,)}


@pytest.fixture
def wild():
    """A model whose latents go far beyond what the guard lets through."""
    torch.manual_seed(0)
    model = build("raw_vae", CONFIG).eval()
    model.rescale_latents(torch.tensor([1 / 64, 1 / 16, 1.0]))
    return model


def test_forward_is_the_same_and_decode_now_agrees_with_it(wild):
    crops = torch.randn(4, 1, 1600) * 0.3
    tame = in_range(wild, crops)
    assert torch.equal(wild.offline("forward", crops), tame.offline("forward", crops))
    latents = tame.offline("encode", crops)
    assert latents.abs().max() <= LARGEST
    assert wild.offline("encode", crops).abs().max() > 8
    assert torch.equal(tame.offline("decode", latents), tame.offline("forward", crops))
    clamped = wild.offline("decode", wild.offline("encode", crops))
    assert not torch.allclose(clamped, wild.offline("forward", crops), atol=1e-3)


def test_temperature_means_the_same_sound(wild):
    wild.rescale_latents(torch.tensor([16.0, 4.0, 1.0]))  # milder: log_std has limits of its own
    crops = torch.randn(2, 1, 320) * 0.3
    hot = torch.tensor([1.0])
    a = wild.offline("forward", crops, temperature=hot)
    tame = in_range(wild, crops)
    assert not torch.equal(tame.encoder.layers[-1].bias, wild.encoder.layers[-1].bias)
    b = tame.offline("forward", crops, temperature=hot)
    assert torch.allclose(a, b, atol=1e-5)


def test_factors_are_powers_of_two_and_leave_the_unused_alone():
    mean = torch.stack([torch.linspace(-12, 12, 100), torch.linspace(-1, 1, 100) * 1e-3])[None]
    found = factors(mean)
    assert torch.equal(found, torch.tensor([8.0, 1.0]))


def test_nothing_to_measure_changes_nothing(wild):
    assert in_range(wild, None) is wild
