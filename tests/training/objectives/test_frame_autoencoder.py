"""Frames as near as they can be: what each loss asks for, on which scale, and that it learns."""

from __future__ import annotations

from itertools import pairwise
from math import log, pi
from types import SimpleNamespace

import pytest
import torch
from torch.distributions import Laplace, Normal

from engine.errors import ConfigError
from engine.layers import Spectrum
from engine.models.frames import FramesConfig
from tests.export.small_models import small_model
from training.data.base import Batch, Shard
from training.objectives.adversarial import AdversarialConfig
from training.objectives.autoencoder_settings import AutoencoderSettings, CodedSettings
from training.objectives.base import Moment
from training.objectives.frame_autoencoder import (
    FrameAutoencoderObjective,
    FrameAutoencoderSettings,
)
from training.objectives.frame_spectra import FrameSpectra, heard_power, nepers
from training.run.config import resolve

KINDS = ("l1", "mse", "gaussian", "laplace", "energy")


def config(**changes):
    table = {"descriptor_weight": 0.0, **changes}
    return SimpleNamespace(**dict(FrameAutoencoderSettings(**table)), learning_rate=1e-2,
                           betas=(0.8, 0.99), gradient_clip=10.0, seed=0, start_from=None)


def objective(name="bins", **changes):
    torch.manual_seed(0)
    return FrameAutoencoderObjective(small_model("spectrogram_vae", name), config(**changes))


def batch(size=2, samples=2048, seed=0):
    """A tone in one half, noise in the other."""
    generator = torch.Generator().manual_seed(seed)
    t = torch.arange(samples) / 8000
    pitch = 300 + 500 * torch.rand(size, 1, 1, generator=generator)
    audio = 0.3 * torch.sin(2 * pi * pitch * t)
    audio[..., samples // 2 :] = 0.1 * torch.randn(size, 1, samples // 2, generator=generator)
    return Batch(1.0, audio=audio)


def learn(found, steps, data=None):
    found.start()
    found.train()
    data = data or batch()
    return [{name: float(value.detach().mean()) for name, value in
             found.step(data, Moment(step, 0.0, 0.0, 1e-2)).items()} for step in range(steps)]


def test_recorded_frames_are_those_of_the_operation():
    shape = FramesConfig(fft=128, hop=32)
    audio = batch()["audio"]
    ours = FrameSpectra(shape).magnitudes(audio)
    theirs = Spectrum(128, 32, floor=1e-6).offline(audio)
    assert ours.shape == theirs.shape
    assert torch.allclose(ours.clamp_min(1e-6).log(), theirs, atol=2e-2)
    loud = theirs > -6
    assert loud.any()
    assert torch.allclose(ours.log()[loud], theirs[loud], atol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_it_learns(kind):
    found = objective(reconstruction=kind, scales=("stft", "mel"), loss_bands=20)
    told = learn(found, 30)
    assert found.watched == ("energy_score" if kind == "energy" else "spectral_distance")
    assert told[-1]["log_distance"] < 0.8 * told[0]["log_distance"]
    assert told[-1]["loss"] < told[0]["loss"]
    assert bool(len(found.log_widths)) == (kind in ("gaussian", "laplace"))
    assert found.watch(found.losses(batch(), Moment())) > 0
    held = found.validate(found.model.eval(), [batch(seed=1)]).figures
    assert set(held) == {"spectral_distance", "energy_score"}


def test_likelihoods_are_those_of_their_distributions_and_widths_find_the_spread():
    y, a = torch.randn(2, 65, 9), torch.randn(2, 65, 9)
    for kind, distribution in (("gaussian", Normal), ("laplace", Laplace)):
        found = objective(reconstruction=kind, scales=("stft",))
        found.log_widths["stft"].data += 0.3
        wanted = -distribution(a, torch.exp(torch.tensor(0.3))).log_prob(y).mean()
        assert torch.allclose(found.compared("stft", y, a), wanted, atol=1e-5)
    found = objective(reconstruction="gaussian", scales=("stft",))
    spread = torch.linspace(0.2, 2.0, 65)[None, :, None]
    y = a[:1] + spread * torch.randn(400, 65, 9)
    widths = torch.optim.Adam(found.log_widths.parameters(), 0.05)
    for _ in range(200):
        widths.zero_grad()
        found.compared("stft", y, a[:1]).backward()
        widths.step()
    true = (y - a[:1]).square().mean(dim=(0, 2)).sqrt()
    assert torch.allclose(found.log_widths["stft"].exp()[:, 0], true, rtol=0.05)


def test_by_the_energy_score_noise_stays_noise_and_by_distances_it_falls_silent():
    """Of noise alone: its level learnt from nothing but frames."""
    data = FrameSpectra(FramesConfig(fft=128, hop=32))
    wanted = data.magnitudes(0.3 * torch.randn(4, 1, 2048)).square()
    shares = {}
    for kind in ("energy", "l1", "mse"):
        found = objective(reconstruction=kind, scales=("stft",))
        tone, noise = (torch.full((1, 65, 1), -3.0, requires_grad=True) for _ in range(2))
        steps = torch.optim.Adam((tone, noise), 0.1)
        for _ in range(80):
            steps.zero_grad()
            both = [x.expand(4, 65, 64) for x in (tone, noise)]
            made = [nepers(heard_power(*both, data.white(4, 64, Shard())))
                    for _ in range(1 + (kind == "energy"))]
            found.compared("stft", nepers(wanted), *made).backward()
            steps.step()
        shares[kind] = float((noise - tone).mean())
    assert shares["energy"] > 0.5  # nepers of noise over tone
    assert shares["l1"] < -0.5
    assert shares["mse"] < -0.5


@pytest.mark.parametrize("scale", ["stft", "mel", "log"])
def test_each_scale_asks_for_its_own_bands(scale):
    found = objective(scales=(scale,), loss_bands=12)
    power = found.spectra.magnitudes(batch()["audio"]).square()
    along = found.along(scale, power)
    assert along.shape[1] == (65 if scale == "stft" else 12)
    flat = found.along(scale, torch.full_like(power, 0.01))
    assert torch.allclose(flat, torch.full_like(flat, 0.5 * log(0.01)), atol=1e-4)


def test_several_scales_count_alike():
    data = batch()
    torch.manual_seed(0)
    parts = [float(objective(scales=scales, reconstruction="mse", regulariser={"kind": "none"},
                             loss_bands=12).losses(data, Moment())["loss"].detach())
             for scales in (("stft",), ("mel",), ("log",), ("stft", "mel", "log"))]
    assert parts[3] == pytest.approx(sum(parts[:3]) / 3, rel=1e-5)
    assert all(abs(a - b) > 1e-3 for a, b in pairwise(parts[:3]))


@pytest.mark.parametrize("regulariser", [
    {"kind": "kl", "free_bits": 0.0},
    *({"kind": "wae-mmd", "kernel": kernel, "prior": prior}
      for kernel in ("rbf", "imq") for prior in ("gaussian", "uniform", "mixture"))])
def test_regularisers_are_those_of_every_autoencoder(regulariser):
    data, found = batch(), []
    for weight in (0.0, 2.0):
        of = objective(regulariser={**regulariser, "weight": weight, "warmup_steps": 0})
        torch.manual_seed(1)
        found.append(of.losses(data, Moment()))
    penalty = (found[1]["mmd"] if regulariser["kind"] == "wae-mmd"
               else found[1]["kl_nats_per_frame"] / 3)  # of three latents, the mean of which counts
    assert float(penalty) != 0
    added = found[1]["loss"] - found[0]["loss"]
    assert float(added.detach()) == pytest.approx(2 * float(penalty), rel=1e-3, abs=1e-5)
    assert of.regulariser.prior(5, 3, torch.Generator()).shape == (5, 3)


def test_a_second_phase_hears_the_sound_that_frames_become():
    found = objective(adversarial=AdversarialConfig(start=0.0, warmup_steps=0,
                                                    discriminators=("scales",), width=2))
    before = found.model.decoder.layers[0].weight.detach().clone()
    told = learn(found, 2)
    assert {"discriminator_loss", "adversarial_loss"} <= set(told[-1])
    assert not torch.equal(before, found.model.decoder.layers[0].weight)


def test_what_it_cannot_train_and_wrong_keys_are_one_line(tmp_path):
    with pytest.raises(ConfigError, match="this objective is for spectrogram_vae"):
        FrameAutoencoderObjective(small_model(), config())
    (tmp_path / "x.toml").write_text('[model]\nfamily = "spectrogram_vae"\n')
    for said, wrong in (("reconstruction=l2", "training.reconstruction"),
                        ('scales=["bark"]', "training.scales"),
                        ("energy_score=1", "energy_score"), ("scales=[]", "training.scales")):
        with pytest.raises(ConfigError) as raised:
            resolve(str(tmp_path / "x.toml"), tmp_path, [said])
        assert wrong in str(raised.value)
        assert len(str(raised.value).splitlines()) == 1


def test_keys_have_one_owner_each():
    own = set(FrameAutoencoderSettings.model_fields) - set(CodedSettings.model_fields)
    assert own == {"reconstruction", "scales", "loss_bands"}
    assert not own & set(AutoencoderSettings.model_fields)
