"""Latents are brought into range without changing a sound."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch

from engine.description import Description
from engine.errors import ModelFileError
from engine.models.registry import build
from engine.models.store import Stored, load_weights, save_weights
from engine.players.base import load
from engine.players.pytorch import PyTorchPlayer
from export.targets import TARGETS, export_model
from training.objectives.latents import LARGEST, factors, into_range, playable, posteriors

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
    tame = deepcopy(wild)
    into_range(tame, crops)
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
    tame = deepcopy(wild)
    into_range(tame, crops)
    assert not torch.equal(tame.encoder.layers[-1].bias, wild.encoder.layers[-1].bias)
    b = tame.offline("forward", crops, temperature=hot)
    assert torch.allclose(a, b, atol=1e-5)


def test_factors_are_powers_of_two_and_leave_the_unused_alone():
    mean = torch.stack([torch.linspace(-12, 12, 100), torch.linspace(-1, 1, 100) * 1e-3])
    found = factors(mean)
    assert torch.equal(found, torch.tensor([8.0, 1.0]))


def test_nothing_to_measure_changes_nothing(wild):
    assert playable(wild, None) is wild


@pytest.fixture
def uneven():
    """A model whose three latents carry nothing, most and some, in that order."""
    torch.manual_seed(1)
    model = build("raw_vae", CONFIG).eval()
    last = model.encoder.layers[-1]
    with torch.no_grad():
        last.weight[:3] *= torch.tensor([0.0, 20.0, 2.0])[:, None, None]
        last.weight[3:] = 0
        last.bias[:3] = torch.tensor([0.3, 0.0, 1.0])
        last.bias[3:] = -1.0
    return model


def test_latents_are_ordered_measured_and_named(uneven):
    crops = torch.randn(6, 1, 1600) * 0.3
    played = playable(uneven, crops)
    assert [latent.index for latent in played.latents] == [1, 2, 0]
    nats = [latent.nats for latent in played.latents]
    assert nats[0] > nats[1] > 0.1 > nats[2]
    assert [latent.active for latent in played.latents] == [True, True, False]
    assert played.methods["encode"].output_labels == ("latent 1", "latent 2", "latent 3 (unused)")
    assert played.methods["decode"].input_labels == played.attributes["scale"].labels
    a, b = (model.offline("forward", crops) for model in (uneven, played))
    assert a.abs().max() > 0.01
    assert torch.allclose(a, b, atol=1e-5)
    latents = played.offline("encode", crops).transpose(0, 1).flatten(1)
    for found, values in zip(played.latents, latents, strict=True):
        inside = ((values >= found.low - 1e-3) & (values <= found.high + 1e-3)).float().mean()
        assert 0.97 < float(inside) <= 1
        assert found.mean == pytest.approx(float(values.mean()), abs=1e-3)
    original = posteriors(uneven, crops)[0]
    again = latents * torch.tensor([latent.scale for latent in played.latents])[:, None]
    assert torch.allclose(again, original[[1, 2, 0]], atol=1e-4)


def test_only_so_many_are_kept(uneven):
    crops = torch.randn(6, 1, 1600) * 0.3
    one = playable(uneven, crops, active=1)
    assert [latent.active for latent in one.latents] == [True, False, False]
    latents = one.offline("encode", crops)
    assert latents[:, 0].std() > 0.1
    assert latents[:, 1:].abs().max() == 0
    moved = latents.clone()
    moved[:, 1:] = 3.0
    assert torch.equal(one.offline("decode", latents), one.offline("decode", moved))
    assert not torch.equal(one.offline("decode", latents), one.offline("decode", 2 * latents))
    # The others stand at their means: as if they had been played so, once past the first frames.
    full = playable(uneven, crops)
    held = full.offline("encode", crops)
    held[:, 1:] = held[:, 1:].mean(dim=(0, 2), keepdim=True)
    a, b = full.offline("decode", held), one.offline("decode", latents)
    assert not torch.allclose(a[..., :16], b[..., :16], atol=1e-6)
    assert torch.allclose(a[..., 800:], b[..., 800:], atol=1e-4)


def test_what_was_measured_travels_with_the_weights(uneven, tmp_path):
    crops = torch.randn(6, 1, 1600) * 0.3
    played = playable(uneven, crops)
    save_weights(played, tmp_path / "model.safetensors")
    other = build("raw_vae", CONFIG)
    load_weights(other, tmp_path / "model.safetensors")
    assert other.latents == played.latents
    description = PyTorchPlayer(other).description
    assert description.latents == played.latents
    again = Description.from_json(description.to_json(), "here")
    assert again.latents == played.latents
    save_weights(uneven, tmp_path / "plain.safetensors")
    load_weights(other, tmp_path / "plain.safetensors")
    assert other.latents == ()
    assert other.methods["encode"].output_labels[2] == "latent 3"


@pytest.mark.parametrize("name", list(TARGETS))
def test_every_export_carries_what_was_measured(uneven, tmp_path, name):
    played = playable(uneven, torch.randn(6, 1, 1600) * 0.3)
    out = tmp_path / f"model{TARGETS[name].suffix}"
    export_model(Stored("model", played, {}, True, None), TARGETS[name], out)
    description = load(out).description
    assert description.latents == played.latents
    assert description.methods["decode"].input_labels[2] == "latent 3 (unused)"


def test_damaged_measurements_are_named(uneven, tmp_path):
    from safetensors.torch import save_file

    save_file(uneven.state_dict(), tmp_path / "m.safetensors", {"latents": '[{"low": 1}]'})
    with pytest.raises(ModelFileError, match=r"m\.safetensors: what it says of its latents"):
        load_weights(uneven, tmp_path / "m.safetensors")
