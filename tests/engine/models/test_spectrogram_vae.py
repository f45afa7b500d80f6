"""The autoencoder of frames: shapes, times, streaming, and latents that can be moved about."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from engine.errors import ConfigError
from engine.hearing.scales import band_weights
from engine.models.registry import FAMILIES, build, configure
from engine.models.rest import silence
from engine.models.spectrogram_vae import SpectrogramVAEConfig
from tests.engine.models.test_loop_models import streamed
from tests.export.small_models import FRAMED, small_model

SHAPES = pytest.mark.parametrize("name", [name for _, name in FRAMED])


def model_of(name, **changes):
    model = small_model("spectrogram_vae", name)
    model.config = model.config.model_copy(update=changes)
    return model.double()


def sound(model, units=40, batch=1, seed=0):
    """Tones and noise in bursts."""
    generator = torch.Generator().manual_seed(seed)
    count = units * model.ratio
    t = torch.arange(count, dtype=torch.float64) / model.sample_rate_hz
    tone = 0.3 * torch.sin(2 * np.pi * 700 * t) * (1 + torch.sin(2 * np.pi * 5 * t)) / 2
    noise = 0.1 * torch.randn(batch, 1, count, generator=generator, dtype=torch.float64)
    return tone + noise * (torch.sin(2 * np.pi * 3 * t) > 0)


def test_it_is_in_the_registry():
    row = FAMILIES["spectrogram_vae"]
    assert (row.objective, row.data) == ("frame_autoencoder", "crops")
    model = model_of("bins")
    assert list(model.methods) == ["encode", "decode", "forward", "decode_magnitudes",
                                   "forward_magnitudes"]
    assert model.main.name == "forward"
    assert [each.name for each in model.coder] == ["encode", "decode"]
    assert model.methods["encode"].out_channels == model.latent_count == 3
    assert model.methods["decode_magnitudes"].out_channels == 2 * 65


@pytest.mark.parametrize(("frames", "strides"), [(1, ()), (2, (2,)), (4, (4,)), (8, (4, 2)),
                                                 (16, (4, 4))])
def test_latency_is_a_window_and_the_block_that_it_waits_for(frames, strides):
    config = SpectrogramVAEConfig(fft=512, hop=128, frames=frames, width=4, dilations=(1,))
    assert config.strides == strides
    model = build("spectrogram_vae", config)
    forward = model.methods["forward"]
    assert forward.lookahead_samples == 512
    assert forward.ratio == model.methods["encode"].out_ratio == 128 * frames
    assert model.methods["decode_magnitudes"].lookahead_samples == 0


@SHAPES
@pytest.mark.parametrize("sizes", [(1,), (2, 3, 1), (13,)])
def test_streaming_is_offline_for_any_chunking(name, sizes):
    model = model_of(name)
    x = sound(model)
    z = model.offline("encode", x)
    for method in model.methods:
        given = z if method.startswith("decode") else x
        whole = model.offline(method, given)
        parts = streamed(model, method, given, sizes)
        assert parts.shape == whole.shape
        assert whole.std() > 1e-5
        assert (parts - whole).abs().max() <= 1e-9 * whole.abs().max()


@SHAPES
def test_forward_is_encode_then_decode_then_resynth(name):
    model = model_of(name, start="zero")
    x = sound(model)
    z = model.offline("encode", x)
    logs = model.offline("forward_magnitudes", x)
    assert torch.equal(model.offline("decode_magnitudes", z), logs)
    assert torch.equal(model.offline("forward", x), model.sound.offline(logs))
    tone, noise = model.frames_of(z)
    assert torch.equal(torch.cat((tone, noise), dim=1), logs)
    assert torch.equal(model.reconstruct(z), model.offline("decode", z))


def test_what_a_method_has_in_common_with_another_begins_alike():
    """At rest: both of a pair hear as much silence, and of the same kind."""
    model = model_of("bins")
    assert model.config.start == "rest"
    for whole, beginning in (("forward", "forward_magnitudes"), ("decode", "decode_magnitudes")):
        assert torch.equal(silence(model, whole), silence(model, beginning))
        states = [model.init_state(name) for name in (whole, beginning)]
        assert len(states[1]) > 3
        for one, other in zip(states[0], states[1], strict=False):
            assert torch.equal(one, other)
        assert not any(part.any() for part in states[0][len(states[1]) :])  # nothing was played
    assert silence(model, "decode").any()


def test_a_frame_of_latents_hears_its_own_hops_and_none_after():
    model = model_of("bins", start="zero")
    x = sound(model)
    ratio = model.methods["encode"].out_ratio
    other = x.clone()
    other[..., 20 * ratio :] = 0
    a, b = model.offline("encode", x), model.offline("encode", other)
    assert torch.equal(a[:, :, :20], b[:, :, :20])
    assert (a[:, :, 20] - b[:, :, 20]).abs().max() > 1e-3


@pytest.mark.parametrize("scale", ["mel", "log"])
def test_the_encoder_hears_bands_in_nepers(scale):
    model = build("spectrogram_vae", {"fft": 256, "hop": 64, "scale": scale, "bands": 24,
                                      "width": 4, "sample_rate_hz": 16000})
    t = torch.arange(6400) / 16000
    x = torch.sin(2 * np.pi * 2000 * t)[None, None]
    spectrum, *scaling = model.encoder.layers[:4]
    logs = spectrum.offline(x)
    bands = logs
    for layer in scaling:
        bands = layer.offline(bands)
    assert bands.shape == (1, 24, 100)
    loudest = int(bands[0, :, 50].argmax())
    weights = torch.from_numpy(band_weights(scale, 24, 256, 16000))
    wanted = (weights @ logs[0, :, 50].exp()).log()
    assert torch.allclose(bands[0, :, 50], wanted, atol=1e-4)
    assert abs(int(weights[loudest].argmax()) - 2000 * 256 / 16000) <= 2


def test_latents_are_scaled_ordered_and_stilled_without_another_sound():
    model = model_of("bins", start="zero")
    x = sound(model)
    z = model.offline("encode", x)
    logs = model.offline("forward_magnitudes", x)
    order, factor = torch.tensor([2, 0, 1]), torch.tensor([2.0, 0.5, -4.0]).double()
    model.rescale_latents(factor)
    assert torch.allclose(model.offline("encode", x) * factor[:, None], z)
    assert torch.allclose(model.offline("forward_magnitudes", x), logs, atol=1e-9)
    model.permute_latents(order)
    assert torch.allclose(model.offline("encode", x), (z / factor[:, None])[:, order])
    assert torch.allclose(model.offline("forward_magnitudes", x), logs, atol=1e-9)
    model.silence_latents(1, torch.zeros(3).double())
    assert not model.offline("encode", x)[:, 1:].any()
    wide = model.distribution(x)[1]
    model.widen_latents(torch.tensor([0.5, 0, 0]).double())
    assert torch.allclose(model.distribution(x)[1][:, 0], wide[:, 0] + 0.5)


def test_draws_differ_in_noise_alone_and_gradients_reach_both_parts():
    model = model_of("bins", start="zero")
    z = model.offline("encode", sound(model))
    a, b = model.draws(z, 2)
    assert torch.equal(a, model.reconstruct(z))
    assert (a - b).abs().max() > 1e-4
    a.square().sum().backward()
    last = model.decoder.layers[-3].weight.grad
    assert last[:65].abs().max() > 0
    assert last[65:].abs().max() > 0


@pytest.mark.parametrize(("settings", "said"), [
    ({"frames": 3}, "1, 2, 4, 8 or 16"), ({"fft": 500}, "power of two"),
    ({"hop": 100}, "4, 8 or 16 times hop"), ({"scale": "bark"}, "model.scale"),
    ({"bandz": 4}, "did you mean 'bands'"), ({"latents": 0}, "model.latents"),
])
def test_mistakes_are_one_line(settings, said):
    with pytest.raises(ConfigError) as raised:
        configure("spectrogram_vae", settings)
    assert said in str(raised.value)
    assert len(str(raised.value).splitlines()) == 1
