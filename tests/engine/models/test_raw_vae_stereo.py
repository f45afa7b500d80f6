"""Two channels of the waveform autoencoder: what a model with one begins them with, and noise that
both share."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from engine.errors import ConfigError
from engine.layers import NoiseMultiply, Parallel
from engine.models.raw_vae import RawVAE
from engine.models.registry import build

SHAPE = {"sample_rate_hz": 8000, "latents": 3, "compression": 32, "bands": 8, "widths": [6, 8],
         "dilations": [1]}


def make(seed: int = 0, **more: Any) -> RawVAE:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = build("raw_vae", {**SHAPE, **more})
        with torch.no_grad():
            for part in model.parameters():  # no weight is what it began with, no bias 0
                part.add_(0.05 * torch.randn_like(part))
    assert isinstance(model, RawVAE)
    return model.eval()


def without_noise(model: RawVAE) -> RawVAE:
    heads = model.decoder.layers[-3]
    with torch.no_grad():
        for part in heads.branches[1].parameters():
            part.zero_()
        heads.branches[1].layers[0].bias.fill_(-1e4)
    return model


def sound(channels: int = 1) -> Tensor:
    return 0.3 * torch.randn(2, channels, 32 * 40, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize("shared", [False, True])
def test_a_grown_stereo_model_plays_on_both_sides_what_the_mono_one_played(shared: bool) -> None:
    mono, stereo = make(), make(1, channels=2, shared_noise=shared)
    stereo.begin_with(mono)
    x = sound()
    both = x.expand(-1, 2, -1)
    assert torch.allclose(stereo.offline("encode", both), mono.offline("encode", x), atol=1e-5)
    one = without_noise(mono).offline("forward", x)
    two = without_noise(stereo).offline("forward", both)
    assert two.shape == (2, 2, x.shape[2])
    assert one.abs().max() > 1e-3
    assert torch.allclose(two, one.expand(-1, 2, -1), atol=1e-5)


def test_what_is_grown_hears_both_channels_alike() -> None:
    """To first order the mean: sounds that differ on the sides code as their mean does."""
    mono, stereo = make(), make(1, channels=2)
    stereo.begin_with(mono)
    x = 1e-4 * sound(2)  # so quiet that copies of it are hardly saturated
    swapped = stereo.offline("encode", x.flip(1))
    assert torch.allclose(stereo.offline("encode", x), swapped, atol=1e-6)
    mean = mono.offline("encode", x.mean(dim=1, keepdim=True))
    silent = mono.offline("encode", torch.zeros_like(x[:, :1]))
    assert (mean - silent).abs().max() > 1e-4
    assert (stereo.offline("encode", x) - mean).abs().max() < 0.02 * (mean - silent).abs().max()


def noises(model: RawVAE, z: Tensor) -> Tensor:
    """What the noise head makes of latents: [batch, 2 * bands, frames]."""
    heard: list[Tensor] = []
    heads = model.decoder.layers[-3]
    assert isinstance(heads, Parallel)
    hook = heads.branches[1].register_forward_hook(lambda _, __, out: heard.append(out[0]))
    model.offline("decode", z)
    hook.remove()
    return heard[0]


@pytest.mark.parametrize("shared", [False, True])
def test_noise_is_as_loud_as_it_was_and_each_channel_has_its_own(shared: bool) -> None:
    mono, stereo = make(), make(1, channels=2, shared_noise=shared)
    stereo.begin_with(mono)
    z = torch.randn(8, 3, 400, generator=torch.Generator().manual_seed(1))
    one, two = noises(mono, z), noises(stereo, z)
    left, right = two.chunk(2, dim=1)
    power = one.square().mean()
    assert abs(float(left.square().mean() / power) - 1) < 0.05
    assert abs(float(right.square().mean() / power) - 1) < 0.05
    together = float((left * right).mean() / power)
    assert abs(together - (0.5 if shared else 0.0)) < 0.05


def test_shared_noise_may_come_later() -> None:
    plain, stereo = make(channels=2), make(1, channels=2, shared_noise=True)
    stereo.begin_with(plain)
    x = sound(2)
    assert torch.equal(plain.offline("encode", x), stereo.offline("encode", x))
    z = torch.randn(8, 3, 400)
    power = [noises(model, z).square().mean() for model in (plain, stereo)]
    assert abs(float(power[1] / power[0]) - 1) < 0.3  # what is shared is a geometric mean
    again = make(2, channels=2, shared_noise=True)
    again.begin_with(stereo)
    assert all(torch.equal(a, b) for a, b in zip(again.parameters(), stereo.parameters(),
                                                 strict=True))


def test_shared_noise_alone_is_in_the_middle() -> None:
    made = make(channels=2, shared_noise=True)
    envelope = made.decoder.layers[-3].branches[1].layers[0]
    with torch.no_grad():
        envelope.bias[:16] = -1e4
        envelope.weight[:16] = 0
    left, right = noises(made, torch.randn(1, 3, 50)).chunk(2, dim=1)
    assert left.abs().max() > 1e-4
    assert torch.equal(left, right)
    assert sum(isinstance(layer, NoiseMultiply) for layer in made.modules()) == 1


@pytest.mark.parametrize("wrong", [{"channels": 1}, {"channels": 2, "noise": False}])
def test_shared_noise_needs_two_channels_with_noise(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="shared_noise needs channels = 2 and noise = true"):
        make(shared_noise=True, **wrong)
