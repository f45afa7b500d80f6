"""The raw-audio VAE: methods, shapes, delays, and what its configuration refuses."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

from engine.description import Description, Latent
from engine.errors import ConfigError
from engine.models.registry import FAMILIES, build, configure

SMALL = {"latents": 3, "bands": 4, "compression": 16, "widths": (8, 6), "dilations": (1, 3)}
VARIANTS = {
    "mono": {},
    "stereo": {"channels": 2},
    "one latent": {"latents": 1},
    "no strides": {"compression": 4, "widths": (8,)},
    "no noise": {"noise": False},
    "odd kernel": {"kernel_size": 5, "dilations": (2,)},
    "fast": {"sample_rate_hz": 48000},
    "separable": {"separable": True},
    "tones": {"harmonics": 5},
    "tones and loudness": {"harmonics": 5, "controls": ("loudness",), "noise": False},
}


def make(**changes):
    torch.manual_seed(0)
    return build("raw_vae", {**SMALL, **changes}).double().eval()


def feed(model, method: str, units: int, batch: int = 1, seed: int = 0) -> torch.Tensor:
    spec = model.methods[method]
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, spec.in_channels, units * spec.in_frames, generator=generator,
                       dtype=torch.float64)


@torch.no_grad()
def play(model, method: str, x: torch.Tensor, chunks: list[int], **attributes) -> torch.Tensor:
    spec, state = model.methods[method], model.init_state(method, x.shape[0])
    values = {**model.default_attributes(), **attributes}
    outputs, at = [], 0
    for chunk in chunks:
        y, state = model.step(method, x[:, :, at : at + chunk * spec.in_frames], state, values)
        assert y.shape == (x.shape[0], spec.out_channels, chunk * spec.out_frames)
        outputs.append(y)
        at += chunk * spec.in_frames
    assert at == x.shape[2]
    return torch.cat(outputs, dim=2)


@pytest.mark.parametrize("method", ["encode", "decode", "forward"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_streamed_equals_offline(variant, method):
    model = make(**VARIANTS[variant])
    x = feed(model, method, 21, batch=3)
    offline = model.offline(method, x)
    streamed = play(model, method, x, [1, 2, 3, 5, 7, 1, 2])
    assert offline.shape == streamed.shape
    assert (offline - streamed).abs().max() <= 1e-10 * offline.abs().max()


def test_forward_is_encode_then_decode():
    model = make()
    x = feed(model, "forward", 12)
    through = model.offline("decode", model.offline("encode", x))
    assert torch.equal(model.offline("forward", x), through)


@pytest.mark.parametrize("latents", [1, 5, 16, 33])
def test_latent_count_is_the_one_asked_for(latents):
    model = make(latents=latents)
    assert model.methods["encode"].out_channels == latents
    assert model.offline("encode", feed(model, "encode", 3)).shape[1] == latents


def test_temperature_adds_reproducible_noise():
    model = make()
    x = feed(model, "forward", 40)
    hot = {"temperature": torch.tensor([1.0], dtype=torch.float64)}
    calm, noisy = model.offline("forward", x), model.offline("forward", x, **hot)
    assert not torch.equal(calm, noisy)
    again = play(model, "forward", x, [7, 33], **hot)
    assert (noisy - again).abs().max() <= 1e-10 * noisy.abs().max()


def test_scale_and_bias_act_on_latents():
    model = make()
    z = feed(model, "decode", 9)
    scale = torch.tensor([0.5, 2.0, -1.0], dtype=torch.float64)
    bias = torch.tensor([0.0, 1.0, 0.25], dtype=torch.float64)
    moved = model.offline("decode", z, scale=scale, bias=bias)
    by_hand = model.offline("decode", z * scale[:, None] + bias[:, None])
    assert torch.allclose(moved, by_hand, atol=1e-12)


@pytest.mark.parametrize("poison", [float("nan"), float("inf"), -float("inf"), 1e30, -1e30])
def test_bad_input_is_cleaned_and_forgotten(poison):
    """After one receptive field the output is as if nothing had happened."""
    model = make(noise=False).float()
    spec = model.methods["forward"]
    field = int(spec.receptive_field_samples)
    units = 2 * field // spec.ratio + 20
    x = feed(model, "forward", units).float() * 0.1
    bad = x.clone()
    bad[:, :, 16:48] = poison
    clean, dirty = model.offline("forward", x), model.offline("forward", bad)
    assert torch.isfinite(dirty).all()
    assert dirty.abs().max() <= 1
    after = 48 + field + spec.ratio
    assert clean.shape[2] > after
    assert torch.equal(clean[:, :, after:], dirty[:, :, after:])
    assert not torch.equal(clean[:, :, :after], dirty[:, :, :after])


def test_receptive_field_and_ratio_are_said_truly():
    model = make(noise=False)
    spec = model.methods["forward"]
    field = int(spec.receptive_field_samples)
    x = feed(model, "forward", field // spec.ratio + 30)
    changed = x.clone()
    changed[:, :, : x.shape[2] - field - spec.ratio] += 1
    a, b = model.offline("forward", x), model.offline("forward", changed)
    assert torch.allclose(a[:, :, -1], b[:, :, -1], atol=1e-12)
    changed = x.clone()
    changed[:, :, -spec.ratio :] += 1  # the newest block
    assert torch.equal(model.offline("forward", changed)[:, :, : -spec.ratio],
                       a[:, :, : -spec.ratio])


def test_latency_is_that_of_the_filter_banks():
    """Nothing between them looks ahead, so the delay is that of perfect reconstruction."""
    model = make()
    assert model.methods["forward"].lookahead_samples == 4 * (6 - 1)
    both = model.methods["encode"].lookahead_samples + model.methods["decode"].lookahead_samples
    assert both == model.methods["forward"].lookahead_samples


@pytest.mark.parametrize("method", ["encode", "decode", "forward"])
def test_graph_costs_and_state_agree_with_the_layers(method):
    model = make()
    graph = model.graph(method)
    layers = sum(torch.Size(s).numel() for s in model.state_shapes(method))
    assert graph.state_count == layers
    macs = {
        "encode": model.encoder.macs_per_frame(),
        "decode": model.decoder.macs_per_frame(),
    }
    macs["forward"] = macs["encode"] + macs["decode"] / model.config.compression
    assert graph.macs_per_input_frame() == pytest.approx(macs[method])
    assert graph.output.channels == model.methods[method].out_channels


@pytest.mark.parametrize(("settings", "message"), [
    ({"latent": 3}, "did you mean 'latents'"),
    ({"latents": "many"}, "latents"),
    ({"latents": 0}, "latents"),
    ({"compression": 100}, "power of two"),
    ({"bands": 3}, "power of two"),
    ({"widths": (8,)}, "widths needs 2"),
    ({"compression": 32, "strides": (4,)}, "must equal compression"),
    ({"channels": 3}, "channels"),
    ({"sample_rate_hz": 0}, "sample_rate_hz"),
])
def test_wrong_configurations_are_explained(settings, message):
    with pytest.raises(ConfigError, match=message):
        configure("raw_vae", {**SMALL, **settings})


def test_unknown_family_suggests_the_nearest():
    with pytest.raises(ConfigError, match="raw_vae"):
        configure("rawvae", {})
    assert "raw_vae" in FAMILIES


def test_measured_latents_travel_and_the_instrument_finds_their_ranges():
    found = (Latent(-1.0, 2.0, 0.1, 0.5, 3.0, True), Latent(-0.5, 0.5, 0.0, 0.2, 0.0, False))
    described = replace(make(latents=2).describe("x"), latents=found)
    text = described.to_json()
    assert json.loads(text)["latent_ranges"] == [[-1.0, 2.0], [-0.5, 0.5]]
    assert Description.from_json(text, "x") == described
