"""Latents that stand still or glide in training: what they are, and what they should sound like."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from engine.models.registry import build
from tests.training.training_helpers import metrics, run
from training.data.base import Batch
from training.objectives.autoencoder import AutoencoderObjective
from training.objectives.base import Moment
from training.objectives.controls import Grid
from training.objectives.held import HELD_SECONDS, SETTLE_SECONDS, stretches
from training.run.config import training_config

RATE = 16000
GRID = Grid(RATE, 128, 0)
FRAMES = 125


def level(x: Tensor, low: float, high: float) -> Tensor:
    """dB of energy between two frequencies, of each signal; it grows by 6 with twice the length."""
    power = torch.fft.rfft(x).abs().square()
    hertz = torch.linspace(0, RATE / 2, power.shape[-1])
    return 10 * power[..., (hertz >= low) & (hertz < high)].sum(dim=-1).log10()


def sound() -> Tensor:
    """A crop is one band of noise from end to end: 64 of the low one, 64 of the high one."""
    torch.manual_seed(0)
    spectrum = torch.fft.rfft(torch.randn(128, 1, RATE))
    hertz = torch.linspace(0, RATE / 2, spectrum.shape[-1])
    low, high = ((hertz > a) & (hertz < b) for a, b in ((500, 1500), (3000, 6000)))
    spectrum[::2] *= low
    spectrum[1::2] *= 0.25 * high
    return 0.1 * torch.fft.irfft(spectrum, RATE)


def test_held_latents_should_sound_as_their_moment_did() -> None:
    audio = sound()
    mean = torch.arange(FRAMES).float() * torch.ones(128, 3, 1)
    z, target, start = stretches(mean, audio, GRID)
    settle, length = (round(s * RATE / 128) for s in (SETTLE_SECONDS, HELD_SECONDS))
    assert z.shape == (32, 3, settle + length)
    assert target.shape == (32, 1, length * 128)
    assert start == settle * 128
    for part, whole in ((slice(None, None, 2), (500, 1500)), (slice(1, None, 2), (3000, 6000))):
        want, found = (level(x[part], *whole) for x in (audio[:32], target))
        found = found + 20 * torch.tensor(RATE / target.shape[-1]).log10()
        assert float((found - want).mean()) == pytest.approx(0, abs=1)
        outside = level(target[part], 6500, 8000)
        assert float((found - outside).min()) > 25


def test_some_stand_still_and_some_glide_to_another_moment() -> None:
    audio, places = sound(), torch.arange(FRAMES).float() * torch.ones(128, 2, 1)
    z, _, start = stretches(places.requires_grad_(), audio, GRID)
    assert not z.requires_grad
    first, last = z[:, 0, 0], z[:, 0, -1]
    still = (z == z[..., :1]).all(dim=2).all(dim=1)
    assert 4 < int(still.sum()) < 28
    assert (first[~still] != last[~still]).float().mean() > 0.9
    settle = start // 128
    assert torch.equal(z[..., :settle], z[..., :1].expand(-1, -1, settle))
    steps = z[..., settle:].diff(dim=2)
    assert torch.allclose(steps, steps.mean(dim=2, keepdim=True).expand_as(steps), atol=1e-3)
    assert first.unique().numel() > 20


def test_a_glide_goes_from_one_sound_to_the_other() -> None:
    """The first half second of each crop is low, the rest is high."""
    both = sound()
    audio = torch.cat((both[::2, :, : RATE // 2], both[1::2, :, : RATE // 2]), dim=2)
    audio = audio.repeat(2, 1, 1)
    places = torch.arange(FRAMES).float() * torch.ones(128, 1, 1)
    z, target, _ = stretches(places, audio, GRID)
    up = (z[:, 0, 0] < 55) & (z[:, 0, -1] > 70)
    assert int(up.sum()) > 2
    start, end = target[up][..., :1280], target[up][..., -1280:]
    assert float((level(start, 500, 1500) - level(end, 500, 1500)).min()) > 6
    assert float((level(end, 3000, 6000) - level(start, 3000, 6000)).min()) > 6


def test_it_teaches_the_decoder_alone(tmp_path: Path) -> None:
    torch.manual_seed(0)
    small = {"latents": 3, "bands": 4, "compression": 16, "widths": (8, 6), "dilations": (1,)}
    audio: Batch = {"audio": 0.2 * torch.randn(4, 1, 8000)}

    def gradients(weight: float) -> tuple[Tensor, Tensor]:
        torch.manual_seed(3)
        model = build("raw_vae", {**small, "sample_rate_hz": 8000})
        config = training_config({"steps": 1, "held_weight": weight, "descriptor_weight": 0.0},
                                 "raw_vae")
        terms = AutoencoderObjective(model, config).losses(audio, Moment())
        assert ("held_score" in terms) == (weight > 0)
        terms["loss"].backward()
        encoder, decoder = (list(part.parameters())[-1].grad for part in
                            (model.encoder, model.decoder))
        return encoder, decoder

    without, held = gradients(0.0), gradients(1.0)
    assert without[0].abs().max() > 0
    assert torch.allclose(without[0], held[0], rtol=1e-5)
    assert not torch.allclose(without[1], held[1], rtol=1e-2)
    run(tmp_path, "held_weight=0.1", steps=2)
    assert all("held_score" in row for row in metrics(tmp_path / "run") if row["kind"] == "train")
    run(tmp_path, "energy_score=0", "held_weight=0.1", steps=2, out="plain")
    assert all("held_score" not in row for row in metrics(tmp_path / "plain"))
