"""Controls in the model: left alone by noise and playable latents, carried by every export."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from engine.models.registry import build
from engine.models.store import Stored
from engine.players.base import load
from engine.players.pytorch import PyTorchPlayer
from export.targets import TARGETS, export_model
from tests.training.control_helpers import BOTH, CONFIG, controlled
from training.objectives.latents import playable


def test_channels_and_labels() -> None:
    model = controlled()
    labels = ("latent 1", "latent 2", "latent 3", "loudness", "pitch_oct")
    encode, decode = model.methods["encode"], model.methods["decode"]
    assert (encode.out_channels, decode.in_channels) == (5, 5)
    assert encode.output_labels == decode.input_labels == labels
    assert model.attributes["bias"].labels == labels
    x = 0.3 * torch.randn(1, 1, 1600, generator=torch.manual_seed(1))
    z = model.offline("encode", x)
    assert z.shape == (1, 5, 100)
    assert torch.equal(model.offline("decode", z), model.offline("forward", x))
    one = build("raw_vae", {**CONFIG, "controls": ("pitch",)})
    assert one.methods["decode"].input_labels[3:] == ("pitch_oct",)


def test_forward_adds_no_noise_to_controls() -> None:
    model = controlled()
    x = 0.3 * torch.randn(1, 1, 1600, generator=torch.manual_seed(1))
    with torch.no_grad():
        y = model.encoder.offline(x)
        z, _ = model.sample(y, (torch.zeros(1, 1),), {"temperature": torch.tensor([4.0])})
    assert (z[:, :3] - y[:, :3]).abs().max() > 0.1
    assert (z[:, 3:] - y[:, 3:5]).abs().max() < 1e-3


def test_a_seed_gives_the_same_encoder_with_and_without_controls() -> None:
    """But for its last layer, which is drawn last, as it was before there were controls."""
    models: list[Any] = []
    for changes in ({}, {"controls": BOTH}):
        torch.manual_seed(0)
        models.append(build("raw_vae", {**CONFIG, **changes}))
    plain, other = (list(model.encoder.layers[:-1].parameters()) for model in models)
    assert len(plain) == len(other) > 5
    assert all(torch.equal(a, b) for a, b in zip(plain, other, strict=True))


def test_without_controls_nothing_is_said_of_them() -> None:
    plain = build("raw_vae", CONFIG)
    assert "controls" not in plain.config.model_dump(mode="json")
    assert PyTorchPlayer(plain).description.controls == ()
    assert PyTorchPlayer(controlled()).description.controls == BOTH


def uneven() -> Any:
    """Latents far out of range and out of order, controls as they should be."""
    model = controlled()
    last = model.encoder.layers[-1]
    with torch.no_grad():
        last.weight[:3] *= torch.tensor([0.2, 30.0, 5.0])[:, None, None]
        last.weight[5:8] = 0
    return model


def test_controls_keep_their_units_and_places() -> None:
    model, crops = uneven(), 0.3 * torch.randn(6, 1, 1600, generator=torch.manual_seed(2))
    played = playable(model, crops)
    assert [latent.index for latent in played.latents] == [1, 2, 0, 3, 4]
    assert played.latents[0].scale > 1
    before, after = model.offline("encode", crops), played.offline("encode", crops)
    assert torch.equal(before[:, 3:], after[:, 3:])
    assert not torch.allclose(before[:, :3], after[:, :3])
    assert torch.allclose(model.offline("forward", crops), played.offline("forward", crops),
                          atol=1e-4)
    assert played.methods["decode"].input_labels[3:] == ("loudness", "pitch_oct")
    for latent, values in zip(played.latents[3:], before[:, 3:].transpose(0, 1), strict=True):
        low, high = torch.quantile(values, torch.tensor([0.01, 0.99])).tolist()
        assert (latent.low, latent.high) == pytest.approx((low, high), abs=1e-3)
        assert latent.active
        assert latent.scale == 1.0


def test_asking_for_few_latents_drops_no_control() -> None:
    model, crops = uneven(), 0.3 * torch.randn(6, 1, 1600, generator=torch.manual_seed(2))
    one = playable(model, crops, active=1)
    assert [latent.active for latent in one.latents] == [True, False, False, True, True]
    z = one.offline("encode", crops)
    assert z[:, 1:3].abs().max() == 0
    assert torch.equal(z[:, 3:], model.offline("encode", crops)[:, 3:])
    for channel in (3, 4):
        moved = z.clone()
        moved[:, channel] += 1
        assert not torch.equal(one.offline("decode", z), one.offline("decode", moved))


@pytest.mark.parametrize("name", list(TARGETS))
def test_every_export_plays_controls_in_any_blocks(tmp_path: Path, name: str) -> None:
    x = 0.3 * torch.randn(1, 1, 1600, generator=torch.manual_seed(3))
    model = playable(controlled(), x.expand(2, -1, -1))
    out = tmp_path / f"model{TARGETS[name].suffix}"
    export_model(Stored("model", model, {}, True, None), TARGETS[name], out)
    player = load(out)
    assert player.description.controls == BOTH
    assert player.description.latents == model.latents
    z = model.offline("encode", x)
    assert z[:, 3:].abs().max() > 0.5
    found = {}
    for method, signal in (("encode", x[0].numpy()), ("decode", z[0].numpy())):
        spec, at, parts = player.methods[method], 0, []
        player.reset()
        for units in (1, 17, 30, 2, 50):
            size = units * spec.in_frames
            parts.append(player.process(method, np.ascontiguousarray(signal[:, at : at + size])))
            at += size
        assert at == signal.shape[1]
        found[method] = np.concatenate(parts, axis=1)
    assert found["encode"] == pytest.approx(z[0].numpy(), abs=1e-4)
    assert found["decode"] == pytest.approx(model.offline("decode", z)[0].numpy(), abs=1e-4)
