"""Latents that follow descriptors: what is measured, what is taught, where such latents stand."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from torch import Tensor

from engine.description import Description, Latent
from engine.models.raw_vae import RawVAE
from engine.models.registry import build
from engine.models.store import load_model, load_weights, save_weights
from tests.training.training_helpers import metrics, run
from training.objectives.controls import Grid
from training.objectives.described import (
    DESCRIPTORS,
    FOLLOWS,
    arrange,
    brightness,
    correlations,
    disorder,
    following,
    grid_of,
    noisiness,
    probes,
    wanted,
)
from training.objectives.latents import playable

RATE = 16000
GRID = Grid(RATE, 128, 0)
SMALL = {"latents": 5, "bands": 4, "compression": 16, "widths": (8, 6), "dilations": (1,)}


def model(**more: object) -> RawVAE:
    torch.manual_seed(2)
    made = build("raw_vae", {**SMALL, **more})
    assert isinstance(made, RawVAE)
    return made.eval()


def tone(hertz: float, seconds: float = 0.5) -> Tensor:
    return 0.3 * torch.sin(2 * torch.pi * hertz * torch.arange(round(RATE * seconds)) / RATE)[None]


def swell() -> Tensor:
    """Noise that grows louder from crop to crop and within each: [4, 1, samples]."""
    torch.manual_seed(5)
    level = torch.logspace(-2.5, 0, 4 * 4096).reshape(4, 1, 4096)
    return 0.3 * level * torch.randn(4, 1, 4096)


def test_an_octave_is_an_octave_and_noise_is_noisy() -> None:
    low, known = brightness(tone(500), GRID)
    high, _ = brightness(tone(1000), GRID)
    assert known.all()
    assert known.shape == (1, 62)
    assert torch.allclose(high[:, 4:-4] - low[:, 4:-4], torch.ones(1, 54), atol=0.05)
    torch.manual_seed(0)
    noise = 0.1 * torch.randn(1, 8000)
    assert -0.4 < float(noisiness(noise, GRID)[0].mean()) < -0.1
    assert float(noisiness(tone(500), GRID)[0][:, 4:-4].max()) < -3
    assert not brightness(1e-4 * noise, GRID)[1].any()
    assert not noisiness(torch.zeros(1, 8000), GRID)[1].any()


def test_the_order_is_what_counts() -> None:
    audio = swell()
    wanted_order = DESCRIPTORS["loudness"][0](audio[:, 0], GRID)[0][:, None]
    right, figures = disorder(("loudness",), GRID, wanted_order, audio)
    assert float(figures["loudness_order"]) > 0.98
    scaled, _ = disorder(("loudness",), GRID, 64 * wanted_order - 3, audio)
    assert float(scaled) == pytest.approx(float(right), rel=1e-4)
    torch.manual_seed(0)
    other, _ = disorder(("loudness",), GRID, torch.randn_like(wanted_order), audio)
    wrong, figures = disorder(("loudness",), GRID, -wanted_order, audio)
    assert float(right) < 0.4 < 0.7 < float(other) < 1.2 < float(wrong)
    assert float(figures["loudness_order"]) < 0.02


def test_gradients_reach_the_first_latents_and_lead_to_the_right_order() -> None:
    audio = swell()
    names = tuple(DESCRIPTORS)
    mean = (0.1 * torch.randn(4, 5, 32)).requires_grad_()
    first = float(disorder(names, GRID, mean, audio)[0].detach())
    for _ in range(100):
        loss, figures = disorder(names, GRID, mean, audio)
        (gradient,) = torch.autograd.grad(loss, mean)
        assert not gradient[:, 3:].any()
        mean = (mean - 10 * gradient).detach().requires_grad_()
    assert float(loss.detach()) < 0.7 * first
    assert float(figures["loudness_order"]) > 0.9


def test_correlations_are_those_of_scipy() -> None:
    audio = swell()
    audio[0] *= 0.02  # in part too quiet to be bright
    torch.manual_seed(1)
    mean = torch.randn(4, 3, 32).cumsum(dim=2)
    mean[:, 2] = 0.5
    found = correlations(("loudness", "brightness"), GRID, mean, audio)
    assert found.shape == (2, 3)
    for row, name in zip(found, ("loudness", "brightness"), strict=True):
        values, known = DESCRIPTORS[name][0](audio[:, 0], GRID)
        assert known.any()
        assert (name != "brightness" or not known.all())
        for i in range(2):
            exact = spearmanr(mean[:, i][known].numpy(), values[known].numpy()).statistic
            assert float(row[i]) == pytest.approx(exact, abs=1e-5)
    assert not found[:, 2].any()


def test_what_a_control_says_needs_no_latent() -> None:
    assert wanted(model()) == ("loudness", "brightness", "noisiness")
    assert wanted(model(controls=("loudness",))) == ("brightness", "noisiness")
    assert wanted(model(latents=1)) == ("loudness",)


def test_the_nearest_latents_come_first_the_right_way_round() -> None:
    made = model()
    audio = probes(made.sample_rate_hz, 1, made.ratio)
    names, grid = wanted(made), grid_of(made)
    before = correlations(names, grid, made.distribution(audio)[0], audio)
    sound, spread = made.offline("forward", audio), made.distribution(audio)[1]
    arrange(made)
    after = correlations(names, grid, made.distribution(audio)[0], audio)
    best = [int(before[0].abs().argmax())]
    assert float(after[0, 0]) == pytest.approx(float(before[0].abs().max()), abs=1e-4)
    assert best != [0] or before[0, 0] < 0  # else nothing was to be done
    assert all(after[i, i] >= 0 for i in range(3))
    assert sound.abs().max() > 0.01
    assert torch.allclose(made.offline("forward", audio), sound, atol=1e-6)
    again = made.distribution(audio)[1]
    assert torch.allclose(again.sum(dim=1), spread.sum(dim=1), atol=1e-4)


def test_latents_that_follow_return_to_their_places() -> None:
    made = model()
    audio = torch.randn(2, 1, 1600) * 0.1
    was = made.offline("encode", audio)
    made.permute_latents(torch.tensor([3, 1, 0, 4, 2]))  # 0 is now in place 2, 1 in 1, 2 in 4
    plain = Latent(-1, 1, 0, 0.5, 2, True)
    made.set_latents(tuple(replace(plain, follows=name) for name in
                           ("", "brightness", "loudness", "", "noisiness")))
    arrange(made)
    assert torch.allclose(made.offline("encode", audio)[:, :3], was[:, :3], atol=1e-6)


def trained(tmp_path: Path) -> Path:
    run(tmp_path, "descriptor_weight=3", "regulariser.weight=1e-4", "regulariser.free_bits=0",
        "learning_rate=1e-2", steps=150)
    return tmp_path / "run"


def test_a_run_teaches_them_and_says_so(tmp_path: Path) -> None:
    folder = trained(tmp_path)
    rows = [row for row in metrics(folder) if row["kind"] == "train"]
    assert np.mean([row["loudness_order"] for row in rows[-20:]]) > 0.85
    stored = load_model(folder)
    made = stored.model
    assert isinstance(made, RawVAE)
    assert made.latents[0].follows == "loudness"
    labels = made.methods["decode"].input_labels
    assert labels[0] == "latent 1 (loudness)"
    follows = [latent.follows for latent in made.latents]
    assert follows == sorted(follows, key=lambda name: not name)  # those that do come first
    text = made.describe("x").to_json()
    assert Description.from_json(text, "here").latents == made.latents
    # Taken up from there they stay where they are, and are still known.
    run(tmp_path, "descriptor_weight=3", out="more", steps=2, start_from=str(folder))
    more = load_model(tmp_path / "more").model
    assert isinstance(more, RawVAE)
    assert more.latents[0].follows == "loudness"
    # Without the term nothing is claimed, and files are as they were before there was one.
    run(tmp_path, "descriptor_weight=0", out="none", steps=2, start_from=str(folder))
    none = load_model(tmp_path / "none").model
    assert isinstance(none, RawVAE)
    assert len(none.latents) == 4
    written = json.loads(none.describe("x").to_json())["latents"]
    assert all("follows" not in item for item in written)
    assert all("order" not in key for row in metrics(tmp_path / "none") for key in row)


def test_those_that_follow_come_before_those_that_carry_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, audio = model(), swell()
    with torch.no_grad():
        made.encoder.layers[-1].bias[5:] = -4.0  # all of them carry something
    plain = playable(made, audio)
    first, least = (plain.latents[i].index for i in (0, -1))
    assert plain.latents[-1].nats > 0.1
    assert first != least
    assert [latent.follows for latent in plain.latents] == [""] * 5
    said = tuple("brightness" if i == least else "" for i in range(5))
    monkeypatch.setattr("training.objectives.latents.following", lambda *_: said)
    led = playable(made, audio, described=True)
    assert [latent.index for latent in led.latents] == [
        least, *(latent.index for latent in plain.latents[:-1])]
    assert [latent.follows for latent in led.latents] == ["brightness", "", "", "", ""]
    assert led.latents[0].nats == plain.latents[-1].nats
    sounds = [each.offline("forward", audio) for each in (made, plain, led)]
    assert sounds[0].abs().max() > 0.01
    assert all(torch.allclose(sounds[0], sound, atol=1e-5) for sound in sounds[1:])
    save_weights(led, tmp_path / "led.safetensors")
    other = model()
    load_weights(other, tmp_path / "led.safetensors")
    assert other.latents == led.latents
    # Of those that follow, only what carries something leads.
    with torch.no_grad():
        made.encoder.layers[-1].weight[least] = 0
    still = playable(made, audio, described=True)
    assert still.latents[-1].index == least
    assert still.latents[-1].follows == ""


def test_a_latent_is_named_only_if_it_follows() -> None:
    made = model(latents=3)
    audio = torch.randn(3, 1, 4096) * 0.1  # steady: there is nothing to follow
    found = correlations(wanted(made), grid_of(made), made.distribution(audio)[0], audio)
    assert following(made, audio) == tuple(
        name if float(found[i, i]) >= FOLLOWS else "" for i, name in enumerate(wanted(made)))
    assert following(made, audio) == ("", "", "")
